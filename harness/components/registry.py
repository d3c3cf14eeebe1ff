"""Components found by name: the built-in ones and those registered by a call.

A built-in component is a module of its kind's package that defines `SPEC`, or several by name in
`SPECS`; it is found by being there. Listing and looking up load neither torch nor scipy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar

from harness.components.spec import Spec, bound
from harness.errors import ConfigError, nearest, shown

S = TypeVar("S", bound=Spec)


class Registry(Collection[str], Generic[S]):
    """All components of one kind, by name. As a collection it holds the names.

    kind: one of them in words, "loss"; package: where the built-in ones are, "harness.components."
    and then the name of the plug-ins' entry-point group. several: modules of the package hold many
    components each, in `SPECS`, instead of one that has the module's name.
    """

    def __init__(self, kind: str, spec: type[S], package: str, *, several: bool = False) -> None:
        self.kind, self.spec, self.package, self.several = kind, spec, package, several
        self._built_in: dict[str, S | None] | None = None  # None: known by name, not yet loaded
        self._registered: dict[str, S] = {}
        self._bound: dict[tuple[str, Mapping[str, Any]], S] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __repr__(self) -> str:
        return f"<{self.kind}: {', '.join(self)}>"

    def names(self) -> tuple[str, ...]:
        """Every name a config may use."""
        return (*self.built_in(), *self._registered)

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

    def check(self, name: Any, key: str = "") -> str:
        """The name if a component has it; else a ConfigError with what is known and the nearest.

        key: the setting that holds the name, for the message; default: the kind.
        """
        if not isinstance(name, str) or name not in self:
            names = self.names()
            raise ConfigError(
                f"{key or self.kind} is {shown(name)}; allowed: one of {', '.join(names)}."
                f"{nearest(str(name), names)}"
            )
        return name

    def get(self, name: str, key: str = "") -> S:
        """The spec of this name; ConfigError where there is none."""
        self.check(name, key)
        if name in self._registered:
            return self._registered[name]
        found = self.built_in()[name]
        if found is None:
            loaded: S = importlib.import_module(f"{self.package}.{name}").SPEC
            found = self.built_in()[name] = loaded
        return found

    def having(self, **facts: Any) -> list[str]:
        """The names of the components with these values in their specs: having(kind="binary")."""
        return [
            name
            for name in self
            if all(getattr(self.get(name), fact) == value for fact, value in facts.items())
        ]

    def bind(self, name: str, settings: Mapping[str, Any]) -> S:
        """The spec of this name with these values of its own settings (see spec.bound)."""
        if not settings:
            return self.get(name)
        key = (name, settings)
        if key not in self._bound:
            self._bound[key] = bound(self.get(name), settings)
        return self._bound[key]

    def register(self, name: str, spec: S) -> None:
        """Add a component of your own under a new name, for this process alone.

        Registering a name again replaces what was registered. ConfigError for the name of a
        built-in one, or a spec of another kind.
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
        if name in self.built_in():
            raise ConfigError(f"{self.kind} {name!r} is built in; choose another name.")
        self._registered[name] = spec
        self._bound = {key: kept for key, kept in self._bound.items() if key[0] != name}
