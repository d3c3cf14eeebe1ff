"""5,163 US first names of the 1990 census, shipped with the package."""

from __future__ import annotations

from harness.components.sources import Settings, SourceSpec, Words


def load(_settings: Settings) -> Words:
    """The shipped list."""
    from harness.components.wordlists import shipped

    return shipped("census1990-first-names.txt")


SPEC = SourceSpec(load=load, summary="5,163 US first names of the 1990 census, shipped")
