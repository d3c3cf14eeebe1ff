"""Components found by name: built-in ones, those of plug-ins, those registered by a call.

A built-in component is a module of its kind's package that defines `SPEC`, or several by name in
`SPECS`; it is found by being there. Listing and looking up load neither torch nor scipy, and no
plug-in but the one whose name is looked up.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar

from harness.components.plugins import (
    SWITCH,
    Plugin,
    hash_of_functions,
    identity,
    plugins,
    switched_off,
)
from harness.components.spec import Spec, bound, functions_of, stand_in
from harness.errors import ConfigError, PluginError, nearest, shown

S = TypeVar("S", bound=Spec)
C = TypeVar("C", bound=Callable[..., Any])
_CACHES: list[Callable[[], None]] = []


def forgetful(cached: C) -> C:
    """Clear a functools cache whenever a component is registered: a name may then mean another."""
    _CACHES.append(cached.cache_clear)  # type: ignore[attr-defined]
    return cached


class Registry(Collection[str], Generic[S]):
    """All components of one kind, by name. As a collection it holds the names.

    kind: one of them in words, "loss"; package: where the built-in ones are, "harness.components."
    and then the name of the plug-ins' entry-point group. several: modules of the package hold many
    components each, in `SPECS`, instead of one that has the module's name. configurable: a config
    has a place for settings of their own (Spec.params).
    """

    def __init__(
        self, kind: str, spec: type[S], package: str, *, several: bool = False,
        configurable: bool = False,
    ) -> None:  # fmt: skip
        self.kind, self.spec, self.package, self.several = kind, spec, package, several
        self.configurable = configurable
        self.group = f"harness.{package.rpartition('.')[2]}"
        self._built_in: dict[str, S | None] | None = None  # None: known by name, not yet loaded
        self._registered: dict[str, S] = {}
        self._loaded: dict[Plugin, S] = {}
        self._stored: dict[str, tuple[S, dict[str, str]]] = {}
        self._bound: dict[tuple[S, Mapping[str, Any]], S] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return (
            name in self.built_in() or name in self._registered or name in plugins(self.group)
        ) or name in self._stored

    def __repr__(self) -> str:
        return f"<{self.kind}: {', '.join(self)}>"

    def names(self) -> tuple[str, ...]:
        """Every name that a new config may use."""
        return (*self.built_in(), *self.others())

    def built_in(self) -> dict[str, S | None]:
        """The built-in components by name; None for one that has not been loaded."""
        if self._built_in is None:
            path = importlib.import_module(self.package).__path__
            modules = [found.name for found in pkgutil.iter_modules(path)]
            self._built_in = {}
            for module in modules if self.several else ():
                self._built_in |= importlib.import_module(f"{self.package}.{module}").SPECS
            if not self.several:
                self._built_in = dict.fromkeys(modules)
        return self._built_in

    def get(self, name: str, key: str = "") -> S:
        """The spec of this name.

        ConfigError where there is none, with what is known and the nearest; key: the setting that
        holds the name, for the message. PluginError where the plug-in of that name is broken, or
        has the name of another component.
        """
        try:
            plugin = self.plugin(name)
            if plugin is not None:
                if plugin not in self._loaded:
                    spec = plugin.load(self.spec)
                    if words := self.unreachable(name, spec):
                        raise PluginError(words)
                    self._loaded[plugin] = spec
                return self._loaded[plugin]
        except PluginError as error:
            if name not in self._stored:
                raise
            return dataclasses.replace(self._stored[name][0], missing=str(error))
        if name in self._registered:
            return self._registered[name]
        if name in self.built_in():
            found = self.built_in()[name]
            if found is None:
                loaded: S = importlib.import_module(f"{self.package}.{name}").SPEC
                found = self.built_in()[name] = loaded
            return found
        if name in self._stored:
            return self._stored[name][0]
        names = self.names()
        off = f" Plug-ins are switched off ({SWITCH})." if switched_off() else ""
        raise ConfigError(
            f"{key or self.kind} is {shown(name)}; allowed: one of {', '.join(names)}."
            f"{nearest(str(name), names)}{off}"
        )

    def others(self) -> tuple[str, ...]:
        """The names that are not built in."""
        return tuple(sorted({*self._registered, *plugins(self.group)}.difference(self.built_in())))

    def plugin(self, name: str) -> Plugin | None:
        """The plug-in that has this name; PluginError where another component has it as well."""
        found = plugins(self.group).get(name, ())
        if not found:
            return None
        others = ["harness itself"] * (name in self.built_in())
        others += ["a call of register"] * (name in self._registered)
        if len(found) + len(others) > 1:
            raise PluginError(
                f"{self.kind} {name!r} comes from {' and from '.join([*others, *map(str, found)])}"
                f"; a name must mean one thing. Rename or uninstall the plug-in, or set {SWITCH}=1."
            )
        return found[0]

    def having(self, **facts: Any) -> list[str]:
        """The names of the components with these values in their specs: having(kind="binary")."""
        found = []
        for name in self.names():
            try:
                spec = self.get(name)
            except PluginError:  # told to whoever asks for it by name
                continue
            if all(getattr(spec, fact) == value for fact, value in facts.items()):
                found.append(name)
        return found

    def bind(self, name: str, settings: Mapping[str, Any]) -> S:
        """The spec of this name with these values of its own settings (see spec.bound)."""
        spec = self.get(name)
        if not settings:
            return spec
        if (spec, settings) not in self._bound:
            self._bound[spec, settings] = bound(spec, settings)
        return self._bound[spec, settings]

    def register(self, name: str, spec: S) -> None:
        """Add a component of your own under a new name, for this process alone.

        Registering a name again replaces what was registered. ConfigError for a name that is taken
        otherwise, or a spec of another kind.
        """
        if not isinstance(spec, self.spec):
            raise ConfigError(
                f"{self.kind} {shown(name)} is a {type(spec).__name__}; allowed: a "
                f"{self.spec.__name__}."
            )
        if not name.isidentifier():
            raise ConfigError(
                f"{self.kind} {shown(name)} has no usable name; allowed: letters, digits and "
                "underscores, no digit first."
            )
        if words := self.unreachable(name, spec):
            raise ConfigError(words)
        if name in self.built_in():
            raise ConfigError(f"{self.kind} {name!r} is built in; choose another name.")
        if name in plugins(self.group):
            raise ConfigError(
                f"{self.kind} {name!r} is the plug-in {plugins(self.group)[name][0]}; choose "
                "another name."
            )
        self._registered[name] = spec
        for clear in _CACHES:
            clear()

    def unreachable(self, name: str, spec: Spec) -> str:
        """Why a spec's own settings cannot be given by a config; "" where they can, or are none."""
        if not spec.params or self.configurable:
            return ""
        first = next(iter(spec.params))
        named = f"{self.kind} {name!r}" if name else self.kind
        return (
            f"{named} declares settings of its own ({', '.join(spec.params)}), for which a config "
            "has no place; allowed for losses, init schemes, regularizers and optimizers. Give the "
            "values in the spec, a name for each, such as "
            f"functools.partial(function, {first}={spec.params[first].default!r})."
        )

    def identity(self, name: str) -> dict[str, str] | None:
        """What enters the ids of runs that use a component; None for a built-in one.

        distribution and version are empty for one registered by a call.
        """
        if self.get(name).missing:
            return self._stored[name][1]
        plugin = self.plugin(name)
        if plugin is not None:
            return identity(plugin)
        if name in self._registered:
            functions = functions_of(self._registered[name])
            source = hash_of_functions(functions[field] for field in sorted(functions))
            return {"distribution": "", "version": "", "sha256": source}
        return None

    def only_here(self, name: str) -> bool:
        """Whether it was registered by a call, so that no other process knows it."""
        return name in self._registered and name not in self.built_in()

    def recall(self, name: str, facts: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Let a stored run's component be read about where it is not installed.

        facts: as spec.facts_of; known: its identity.
        """
        origin = "it was registered by a call in Python; register it again"
        if known["distribution"]:
            origin = f"it is part of {known['distribution']} {known['version']}; install that"
        missing = f"{self.kind} {name!r} is not here: {origin} to train with it."
        new = name not in self._stored
        self._stored[name] = stand_in(self.spec, facts, missing), dict(known)
        for clear in _CACHES if new else ():
            clear()
