"""Settings that a component declares for itself, such as the focal loss's gamma."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ConfigError, nearest, shown

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Param:
    """One setting of a component: its default, which also gives its type, and its range.

    low and high are inclusive bounds, above and below exclusive ones; one_of lists the texts that
    are allowed. The component's functions receive the value as a keyword argument.
    """

    default: Value
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    one_of: tuple[str, ...] = ()
    unit: str = ""
    help: str = ""

    def clean(self, key: str, value: Any) -> Value:
        """The value in the default's type; ConfigError where it does not fit."""
        kind, given = type(self.default), value
        right = isinstance(value, kind)
        if kind in (int, float):
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
            right = right and math.isfinite(value) and (kind is float or value == int(value))
            value = kind(value) if right else value
        if right and kind is str and self.one_of:
            right = value in self.one_of
        if right and kind in (int, float):
            right = not (
                (self.low is not None and value < self.low)
                or (self.high is not None and value > self.high)
                or (self.above is not None and value <= self.above)
                or (self.below is not None and value >= self.below)
            )
        if not right:
            hint = nearest(str(value), self.one_of) if self.one_of else ""
            raise ConfigError(f"{key} is {shown(given)}; allowed: {self.allowed()}.{hint}")
        out: Value = value
        return out

    def allowed(self) -> str:
        """What is accepted, in words: "a number of 0 or more and at most 10"."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        unit = f" ({self.unit})" if self.unit else ""
        return f"{words[type(self.default)]} {bounds(vars(self))}".rstrip() + unit


def bounds(rule: Mapping[str, Any]) -> str:
    """A range in words: "from 0 up to but not including 1", "above 0", "of 1 or more"."""
    low, above, high, below = (
        None if rule.get(name) is None else _plain(rule[name])
        for name in ("low", "above", "high", "below")
    )
    if low is not None and high is not None:
        return f"from {low} to {high}"
    if low is not None and below is not None:
        return f"from {low} up to but not including {below}"
    ends = [
        text
        for text, end in (
            (f"of {low} or more", low), (f"above {above}", above),
            (f"at most {high}", high), (f"below {below}", below),
        )
        if end is not None
    ]  # fmt: skip
    return " and ".join(ends)


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else repr(bound)


class Settings(Mapping[str, Value]):
    """The values of a component's settings, in the order declared; immutable and hashable."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)
