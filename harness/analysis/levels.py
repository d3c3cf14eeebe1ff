"""The levels of one setting that varies: its values in order, or bins where there are very many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config.labels import short_name, text

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST_LEVELS = 12  # a numeric key with more values than this is cut into bins
BINS = 6


@dataclass(frozen=True, kw_only=True)
class Key:
    """A setting that varies: its levels in order and each run's place among them.

    values: one representative a level (the middle of a bin); codes: index of the run's level.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    codes: Codes
    numeric: bool
    binned: bool = False

    @property
    def short(self) -> str:
        """Its last part; "loss" for loss.name."""
        return short_name(self.name)

    @property
    def logarithmic(self) -> bool:
        """Whether a log axis suits: positive (0 apart) and over a factor of 5 wide."""
        positive = [v for v in self.values if v > 0] if self.numeric else []
        return (
            len(positive) > 1
            and max(positive) / min(positive) >= 5
            and not any(v < 0 for v in self.values)
        )


def follows(key: Key, other: Key) -> bool:
    """Whether one key's level is settled by another's: itself, or reg.name beside reg.strength."""
    pairs = set(zip(other.codes.tolist(), key.codes.tolist(), strict=True))
    return len(pairs) == len(set(other.codes.tolist()))


def key_of(name: str, column: Sequence[Any]) -> Key:
    """A setting's levels: its values in order, or bins where a number has very many."""
    kinds = {type(v) for v in column}
    if kinds <= {int, float} and kinds:
        distinct = sorted({float(v) for v in column})
        if len(distinct) > MOST_LEVELS:
            return _binned(name, np.array(column, float))
        places = {v: i for i, v in enumerate(distinct)}
        codes = np.array([places[float(v)] for v in column], int)
        labels = tuple(text(v) for v in distinct)
        return Key(name=name, values=tuple(distinct), labels=labels, codes=codes, numeric=True)
    first = {text(v): v for v in reversed(list(column))}
    rank = {text(v): i for i, v in reversed(list(enumerate(column)))}
    order = sorted(first, key=lambda label: (_number(first[label]), rank[label]))
    places_ = {label: i for i, label in enumerate(order)}
    codes = np.array([places_[text(v)] for v in column], int)
    values = tuple(first[label] for label in order)
    return Key(name=name, values=values, labels=tuple(order), codes=codes, numeric=False)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else -math.inf


def _binned(name: str, values: Floats) -> Key:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    labels = tuple(f"{a:.2g}–{b:.2g}" for a, b in pairwise(edges))
    middle = tuple(float(np.median(values[codes == i])) for i in range(len(labels)))
    return Key(name=name, values=middle, labels=labels, codes=codes, numeric=True, binned=True)
