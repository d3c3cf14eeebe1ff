"""What every component's spec has: one line about it, and settings of its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.components.params import Param, Settings
from harness.errors import ConfigError, PluginError, nearest, shown

S = TypeVar("S", bound="Spec")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Spec:
    """Facts about one component; equal only to itself.

    summary: one line for `harness components`. params: settings of its own by name, of losses,
    inits, penalties and optimizers alone; every function in the spec then receives their values as
    keyword arguments. beside: further settings of its group that choosing it by name gives, as its
    YAML does. missing: set where it stands for a component that a stored run used and that cannot
    be had here, with nothing but the facts that were stored; says why, and what to do.
    """

    summary: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.missing or self.summary!r})"

    def chosen(self) -> dict[str, Any]:
        """Settings beside its name that choosing it as a group gives: in a YAML, or without one."""
        return dict(self.beside)


def functions_of(spec: Spec) -> dict[str, Callable[..., Any]]:
    """The functions that a component's author put into its spec, by the names of their fields."""
    found = {}
    for entry in dataclasses.fields(spec):
        value = getattr(spec, entry.name)
        if callable(value) and value is not entry.default:
            found[entry.name] = value
    return found


def bound(spec: S, settings: Mapping[str, Any]) -> S:
    """The spec whose functions already have these values of the component's own settings."""
    if not settings or spec.missing:
        return spec
    own: dict[str, Any] = {
        name: functools.partial(function, **settings)
        for name, function in functions_of(spec).items()
    }
    return dataclasses.replace(spec, **own)


def facts_of(spec: Spec) -> dict[str, Any]:
    """All that a spec says without functions, as JSON values: what a stored run keeps of it."""
    values = {
        entry.name: getattr(spec, entry.name)
        for entry in dataclasses.fields(spec)
        if entry.name not in ("params", "beside", "missing")
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if isinstance(value, (str, bool, int, float, tuple)) or value is None
    }


def stand_in(kind: type[S], facts: Mapping[str, Any], missing: str) -> S:
    """A spec with the facts that were stored; PluginError(missing) where it is asked to work."""

    def absent(*_: Any, **__: Any) -> Any:
        raise PluginError(missing)

    own: dict[str, Any] = {"missing": missing}
    for entry in dataclasses.fields(kind):
        if entry.name in facts and entry.name not in own:
            value = facts[entry.name]
            own[entry.name] = tuple(value) if isinstance(value, list) else value
        elif entry.default is entry.default_factory is dataclasses.MISSING:
            own[entry.name] = absent
    return kind(**own)


NONE = Settings()


def params_of(spec: Spec, given: Any, key: str, component: str) -> Settings:
    """Every setting that a spec declares, given or at its default; ConfigError on anything else.

    key: the group of the settings, such as "loss.params"; component: for messages, "loss focal".
    What a stored run had is taken as it is where the component itself is missing.
    """
    if not given and not spec.params and isinstance(given, Mapping):
        return NONE
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{key} is {shown(given)}; it must be a mapping of settings.")
    if spec.missing:
        return Settings(given)
    for name in given:
        if name not in spec.params:
            known = ", ".join(f"{key}.{own}" for own in spec.params)
            raise ConfigError(
                f"{key}.{name} is not a setting of the {component}; known: "
                f"{known or f'none, {component} has none'}.{nearest(str(name), spec.params)}"
            )
    return Settings(
        {
            name: param.clean(f"{key}.{name}", given.get(name, param.default))
            for name, param in spec.params.items()
        }
    )
