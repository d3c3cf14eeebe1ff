"""How many points a grid has, counted before any of them is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from harness.errors import ConfigError

LIMIT = 100_000  # runs of one sweep; 10,000 are composed in about a second


class Axis(Protocol):
    """An override, as far as the size of a grid depends on it."""

    @property
    def text(self) -> str:
        """As it was written."""

    @property
    def key(self) -> str:
        """Which setting it gives."""

    @property
    def points(self) -> int:
        """How many values it has."""


def check_points(axes: Sequence[Axis], zipped: Sequence[Sequence[str]] = ()) -> int:
    """The product of the axes' lengths; ConfigError for an empty axis or over LIMIT points.

    zipped: groups of keys that count once, as one axis.
    """
    followers = {key for group in zipped for key in group[1:]}
    points, longest = 1, ("", 0)
    for axis in axes:
        length = axis.points
        if length == 0:
            raise ConfigError(
                f"{axis.text} names no value; allowed: one or more, such as "
                f"{axis.key}=0,1 or {axis.key}=range(3)."
            )
        longest = max(longest, (axis.key, length), key=lambda pair: pair[1])
        points *= 1 if axis.key in followers else length
    if points > LIMIT:
        raise ConfigError(
            f"this grid has {points:,} runs, with {longest[1]:,} values of {longest[0]}; allowed: "
            f"at most {LIMIT:,}. Take fewer values, or cut it into several sweeps."
        )
    return points


def check_total(points: int) -> None:
    """ConfigError where several grids together have over LIMIT points."""
    if points > LIMIT:
        raise ConfigError(f"these grids have {points:,} runs together; allowed: at most {LIMIT:,}.")


def range_length(text: str, start: Any, stop: Any, step: Any) -> int:
    """Values of range(start, stop, step), as Hydra's own loop over it counts."""
    start, stop, step = float(start), float(stop), float(step)
    if not all(map(math.isfinite, (start, stop, step))) or step == 0:
        raise ConfigError(f"{text} never ends; allowed: finite numbers and a step other than 0.")
    count = (stop - start) / step
    return max(0, math.ceil(count)) if count < 2**62 else 2**62
