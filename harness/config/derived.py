"""What follows from the values of a frozen group of settings, computed once an object."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R", bound="Remembers")


class Remembers:
    """Base of a frozen object that remembers what was derived from it.

    The groups of settings of ten thousand runs are a few dozen objects (see run.run_config), so
    that what is kept with them is computed a few dozen times.
    """

    def once(self, what: Hashable, derive: Callable[[], T]) -> T:
        """What `derive` gives, computed the first time that it is asked for under this name."""
        known: dict[Hashable, T] = self.__dict__.setdefault("_derived", {})
        if what not in known:
            known[what] = derive()
        return known[what]

    def __repr__(self) -> str:
        return brief(self)


def brief(settings: Any, secret: Sequence[str] = ()) -> str:
    """A settings object as the call that makes it, with what differs from the defaults alone.

    secret: fields whose value is not written.
    """
    words = []
    for entry in dataclasses.fields(settings):
        value, default = getattr(settings, entry.name), entry.default
        if entry.default_factory is not dataclasses.MISSING:
            default = entry.default_factory()
        if default is dataclasses.MISSING or value != default:
            words.append(f"{entry.name}={'***' if entry.name in secret else repr(value)}")
    return f"{type(settings).__name__}({', '.join(words)})"


def plain(name: str, group: Remembers) -> Mapping[str, Any]:
    """A group's settings as {"group.key": value}, in order of declaration; tuples as lists."""

    def derive() -> Mapping[str, Any]:
        out: dict[str, Any] = {}
        for entry in dataclasses.fields(group):  # type: ignore[arg-type]  # each one is a dataclass
            value, key = getattr(group, entry.name), f"{name}.{entry.name}"
            if isinstance(value, Mapping):
                out |= {f"{key}.{own}": v for own, v in value.items()}
            else:
                out[key] = list(value) if isinstance(value, tuple) else value
        return out

    return group.once("plain", derive)


def filled(kind: type[R], group: Remembers, **values: Any) -> R:
    """A group as one of this kind, with these values filled in."""

    def derive() -> R:
        own = {entry.name: getattr(group, entry.name) for entry in dataclasses.fields(group)}  # type: ignore[arg-type]
        return kind(**(own | values))

    return group.once(("filled", kind, *values.items()), derive)
