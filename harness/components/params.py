"""Settings that a component declares for itself, such as the focal loss's gamma."""

from __future__ import annotations

import dataclasses
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
        kind = type(self.default)
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
            raise ConfigError(f"{key} is {shown(value)}; allowed: {self.allowed()}.{hint}")
        out: Value = value
        return out

    def allowed(self) -> str:
        """What is accepted, in words: "a number of 0 or more and at most 10"."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        ends = [
            text
            for text, end in (
                (f"of {self.low!r} or more", self.low), (f"above {self.above!r}", self.above),
                (f"at most {self.high!r}", self.high), (f"below {self.below!r}", self.below),
            )
            if end is not None
        ]  # fmt: skip
        unit = f" ({self.unit})" if self.unit else ""
        return " ".join([words[type(self.default)], " and ".join(ends)]).rstrip() + unit

    def rule(self) -> dict[str, Any]:
        """The same as a field's rule (see config.fields.knob), for tables and help."""
        rule = dataclasses.asdict(self)
        rule["one_of"] = self.one_of or None
        return rule | {"stacks": True, "seed": False, "numeric": True}


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


def settings_of(declared: Mapping[str, Param], given: Any, *, key: str, component: str) -> Settings:
    """Every declared setting with its given or default value; ConfigError on anything else.

    key: the group of the settings, such as "loss.params"; component: for messages, "loss focal".
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"{key} is {shown(given)}; it must be a mapping of settings.")
    for name in given:
        if name not in declared:
            known = ", ".join(f"{key}.{own}" for own in declared) or f"none, {component} has none"
            raise ConfigError(
                f"{key}.{name} is not a setting of the {component}; known: {known}."
                f"{nearest(str(name), declared)}"
            )
    return Settings(
        {
            name: param.clean(f"{key}.{name}", given.get(name, param.default))
            for name, param in declared.items()
        }
    )
