"""A data source has nothing to compare: its data are checked when they are loaded."""

from __future__ import annotations

from harness.components.sources import SourceSpec


def problems(_spec: SourceSpec) -> list[str]:
    """Nothing that can be told without data."""
    return []
