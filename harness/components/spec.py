"""What every component's spec has: one line about it, and settings of its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.components.params import Param

S = TypeVar("S", bound="Spec")


@dataclass(frozen=True, kw_only=True, eq=False)
class Spec:
    """Facts about one component; equal only to itself.

    summary: one line for `harness components`. params: settings of its own by name; every function
    in the spec then receives their values as keyword arguments.
    """

    summary: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)


def bound(spec: S, settings: Mapping[str, Any]) -> S:
    """The spec whose functions already have these values of the component's own settings."""
    if not settings:
        return spec
    functions: dict[str, Any] = {
        entry.name: functools.partial(value, **settings)
        for entry in dataclasses.fields(spec)
        if callable(value := getattr(spec, entry.name))
    }
    return dataclasses.replace(spec, **functions)
