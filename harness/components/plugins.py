"""Components of other packages: found by their entry points, loaded when their name is asked for.

    [project.entry-points."harness.losses"]
    focal = "my_losses.focal:SPEC"

What a run depends on of such a package is its identity: the distribution, its version, and a hash
of the source of the module that the entry point names and of what that imports from its package.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from harness.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SWITCH = "HARNESS_DISABLE_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """One entry point of a distribution: a component's name, and where its spec is."""

    group: str
    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        return (
            f"{self.distribution} {self.version} (entry point {self.group}: {self.name} = "
            f"{self.entry.value})"
        )

    def load(self, kind: type) -> Any:
        """The spec; PluginError with the package's own error where it does not load."""
        try:
            spec = self.entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"the plug-in {self} does not load: {type(error).__name__}: {error}. Mend or "
                f"uninstall {self.distribution}, or set {SWITCH}=1 and leave out what needs it."
            ) from error
        if not isinstance(spec, kind):
            raise PluginError(
                f"the plug-in {self} is of type {type(spec).__name__}; it must be a "
                f"{kind.__name__} of harness.components."
            )
        return spec


@functools.cache
def identity(plugin: Plugin) -> dict[str, str]:
    """What enters the ids of runs that use a plug-in; its package must be importable."""
    source = hash_of_modules([plugin.entry.module])
    return {"distribution": plugin.distribution, "version": plugin.version, "sha256": source}


def switched_off() -> bool:
    """Whether the environment says that no plug-in is to be used."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def offered() -> tuple[bool, tuple[str, ...]]:
    """What decides which plug-ins there are: the switch, and where packages are looked for."""
    return switched_off(), tuple(sys.path)


def plugins(group: str) -> dict[str, tuple[Plugin, ...]]:
    """The plug-ins of an entry-point group by name; none of them is loaded.

    A name that two distributions offer has two of them.
    """
    return {} if switched_off() else _found(tuple(sys.path)).get(group, {})


@functools.lru_cache(maxsize=4)
def _found(_path: tuple[str, ...]) -> dict[str, dict[str, tuple[Plugin, ...]]]:
    """{group: {name: plug-ins}} of every distribution on the path that offers one to harness."""
    from importlib.metadata import distributions  # some 50 ms, and seldom needed

    found: dict[str, dict[str, tuple[Plugin, ...]]] = {}
    seen = set()
    for distribution in distributions():
        own = [e for e in distribution.entry_points if e.group.startswith("harness.")]
        name = distribution.name
        if not own or name in seen:  # the first one on the path is the one that imports find
            continue
        seen.add(name)
        for entry in own:
            plugin = Plugin(entry.group, entry.name, name, distribution.version, entry)
            names = found.setdefault(entry.group, {})
            names[entry.name] = (*names.get(entry.name, ()), plugin)
    return found


def hash_of_modules(names: Iterable[str]) -> str:
    """sha256 of these modules' source and of all that they import from their own packages."""
    found: dict[str, bytes] = {}
    front = list(names)
    while front:
        name = front.pop()
        if name in found:
            continue
        path = _source(name)
        if path is None:
            continue
        found[name] = path.read_bytes()
        front += _imports(name, found[name], package=path.name == "__init__.py")
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\0{len(found[name])}\0".encode() + found[name])
    return digest.hexdigest()


def _source(module: str) -> Path | None:
    """The file of a module, source or not; None where there is none to read."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin)


def _imports(module: str, source: bytes, *, package: bool) -> list[str]:
    """Modules of its own top-level package that a module imports, at any place in it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a compiled module: its bytes are all there is
        return []
    top = module.partition(".")[0]
    around = module if package else module.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = around.split(".")[: len(around.split(".")) - node.level + 1]
            base = ".".join([*(parts if node.level else ()), node.module or ""]).strip(".")
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in found if name.partition(".")[0] == top]


def hash_of_functions(functions: Iterable[Callable[..., Any]]) -> str:
    """sha256 of what functions registered by a call consist of: their source, else their code."""
    digest = hashlib.sha256()
    for function in functions:
        whole = function
        while isinstance(whole, functools.partial):
            digest.update(repr((whole.args, sorted(whole.keywords.items()))).encode())
            whole = whole.func
        try:
            digest.update(inspect.getsource(inspect.unwrap(whole)).encode())
        except (OSError, TypeError):  # typed at a prompt, or no Python function
            digest.update(_code(getattr(whole, "__code__", None)))
    return digest.hexdigest()


def _code(code: CodeType | None) -> bytes:
    """What compiled code does, without the address that its repr would hold."""
    if code is None:
        return b""
    inner = [_code(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"\0".join([code.co_code, repr(code.co_names).encode(), *inner])
