"""Rows that are equal to the last digit, as tables for people show them: once, naming all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

EQUALS = " = "  # between the settings of equal rows
EQUAL = "Settings joined by = gave the same numbers to the last digit."


def equal_rows(same: Sequence[Hashable]) -> list[list[int]]:
    """Places of the rows, those with an equal mark together, in order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for place, mark in enumerate(same):
        groups.setdefault(mark, []).append(place)
    return list(groups.values())


def joined(values: Iterable[str]) -> str:
    """One cell of equal rows: each of their values once, as "cross_entropy = nll"."""
    return EQUALS.join(dict.fromkeys(values))
