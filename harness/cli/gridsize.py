"""How many points a grid has, counted before any is made; overrides are those Hydra parsed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.errors import ConfigError

LIMIT = 100_000  # runs of one sweep; 10,000 are composed in about a second


def check_points(overrides: Sequence[Any]) -> int:
    """The product of the axes' lengths; ConfigError for an empty axis or over LIMIT points."""
    points, longest = 1, ("", 0)
    for override in overrides:
        length = _length(override)
        if length == 0:
            raise ConfigError(
                f"{override.input_line} names no value; allowed: one or more, such as "
                f"{override.key_or_group}=0,1 or {override.key_or_group}=range(3)."
            )
        longest = max(longest, (override.key_or_group, length), key=lambda pair: pair[1])
        points *= length
    if points > LIMIT:
        raise ConfigError(
            f"this grid has {points:,} runs, with {longest[1]:,} values of {longest[0]}; allowed: "
            f"at most {LIMIT:,}. Take fewer values, or cut it into several sweeps."
        )
    return points


def _length(override: Any) -> int:
    if not override.is_sweep_override() or not override.is_discrete_sweep():
        return 1
    value: Any = override.value()
    if hasattr(value, "step"):
        return _range_length(override.input_line or "", value)
    return len(value.list) if hasattr(value, "list") else 1


def _range_length(text: str, value: Any) -> int:
    """Of range(start, stop, step), as Hydra's own loop over it counts."""
    start, stop, step = (float(value.start), float(value.stop), float(value.step))
    if not all(map(math.isfinite, (start, stop, step))) or step == 0:
        raise ConfigError(f"{text} never ends; allowed: finite numbers and a step other than 0.")
    count = (stop - start) / step
    return max(0, math.ceil(count)) if count < 2**62 else 2**62
