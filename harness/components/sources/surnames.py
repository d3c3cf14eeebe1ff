"""88,799 US surnames of the 1990 census, shipped with the package."""

from __future__ import annotations

from harness.components.sources import Settings, SourceSpec, Words


def load(_settings: Settings) -> Words:
    """The shipped list."""
    from harness.components.wordlists import shipped

    return shipped("census1990-surnames.txt.gz")


SPEC = SourceSpec(load=load, summary="88,799 US surnames of the 1990 census, shipped")
