"""What could stand where the cursor is: settings, their values, flags, runs, sweeps, files.

A shell waits for the answer, so nothing here loads torch, mlflow or Hydra, and of a ledger no
record is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.near import OWN_FLAGS
from harness.cli.spelling import PATH_KEYS, group_choices
from harness.components import METRICS, REGISTRIES
from harness.components.registry import Registry
from harness.config import catalogue
from harness.config.keys import choosing

HYDRA_FLAGS: dict[str, tuple[str, ...]] = {  # with the values that can be listed
    "--help": (), "--cfg": ("job", "hydra", "all"), "--resolve": (), "--package": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--config-name": (), "--config-path": (), "--config-dir": (), "--multirun": (),
}  # fmt: skip
FILES = ("--config-path", "-cp", "--config-dir", "-cd")  # flags that name a folder
RECENT = 50  # sweeps or runs offered, the newest first
MANY = 1000  # runs offered where some of an id is typed
LARGE = 1 << 21  # bytes of a sweep's file that is read for its runs


def flags(verb: str, incomplete: str) -> list[str]:
    """The flags of a verb that takes settings, beside those that click knows."""
    own = OWN_FLAGS.get(verb, ())
    return _beginning([*own, *(HYDRA_FLAGS if own else ())], incomplete)


def overrides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Settings, or what a flag before them takes."""
    before = [str(word) for word in ctx.params.get(param.name or "") or ()]
    last = before[-1] if before else ""
    if last in FILES:
        return paths("", incomplete)
    if last == "--into":
        return sweeps(ctx, param, incomplete)
    if HYDRA_FLAGS.get(last):
        return _beginning(HYDRA_FLAGS[last], incomplete)
    return settings(before, incomplete, searching=ctx.info_name == "search")


def settings(before: Sequence[str], incomplete: str, *, searching: bool = False) -> list[str]:
    """Keys that begin so, "group=" and "group." for groups; after "=" the values of a key.

    before: the overrides so far, which say whose own settings there are.
    """
    mark = incomplete[: len(incomplete) - len(incomplete.lstrip("+~"))]
    key, equals, value = incomplete.removeprefix(mark).partition("=")
    if equals:
        if key in PATH_KEYS:
            return paths(f"{mark}{key}=", value)
        done, comma, rest = value.rpartition(",")
        head = f"{mark}{key}={done}{comma}"
        return [head + one for one in _values(key, before) if one.startswith(rest)]
    known = [f"{one}=" for one in catalogue.entries()]
    known += [f"{group}=" for group in group_choices()]
    known += [f"{one}=" for one in _declared(before)]
    if not searching:
        known = [one for one in known if not one.startswith("search.")]
    if "." not in key:  # a group at a time
        known = list(dict.fromkeys(one.partition(".")[0] + "." if "." in one else one
                                   for one in known))  # fmt: skip
    return [mark + one for one in known if one.startswith(key)]


def _values(key: str, before: Sequence[str]) -> Iterator[str]:
    if key in group_choices():
        yield from group_choices()[key]
        chosen = choosing(key)
        yield from chosen[1].others() if chosen is not None else ()
    elif (entry := catalogue.entries().get(key)) is not None:
        yield from entry.choices
    else:
        yield from _declared(before).get(key, ())


def _declared(before: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The own settings of components named so far, with the values that can be listed."""
    found: dict[str, tuple[str, ...]] = {}
    for group in catalogue.groups():
        chosen = choosing(group)
        if chosen is None:
            continue
        for name in _named(before, group, chosen[0], chosen[1]):
            for own, param in chosen[1].get(name).params.items():
                found[f"{group}.params.{own}"] = param.one_of or (
                    ("true", "false") if isinstance(param.default, bool) else ()
                )
    return found


def _named(before: Sequence[str], group: str, key: str, known: Registry[Any]) -> Iterator[str]:
    for word in before:
        own, _, value = word.partition("=")
        if own in (group, key):
            yield from (name for name in value.split(",") if name in known)


def paths(head: str, typed: str) -> list[str]:
    """Files and folders that begin as typed, each after `head`; folders end in a slash."""
    folder, slash, rest = typed.rpartition("/")
    try:
        with os.scandir(Path(folder + slash or ".").expanduser()) as found:
            names = sorted(f"{one.name}{'/' * one.is_dir()}" for one in found)
    except (OSError, RuntimeError):  # no such folder, or ~ of nobody
        return []
    shown = [name for name in names if rest or not name.startswith(".")]
    return [f"{head}{folder}{slash}{name}" for name in shown if name.startswith(rest)]


def sweeps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of sweeps and single runs, newest first, and what else names one."""
    del param
    return _beginning(("newest", "all", *(path.stem for path in _manifests(ctx))), incomplete)


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of runs, and what else names one; "best:" is followed by a sweep."""
    del param
    if incomplete.startswith("best:"):
        return _beginning([f"best:{path.stem}" for path in _manifests(ctx)], incomplete)
    found = dict.fromkeys(("newest", "best", "best:"))
    for path in _manifests(ctx):
        found |= dict.fromkeys(_runs_of(path))
    if ctx.info_name == "show":
        found |= dict.fromkeys(path.stem for path in _manifests(ctx))
    return _beginning(found, incomplete)[: MANY if incomplete else RECENT]


def _manifests(ctx: click.Context) -> list[Path]:
    """The newest files of sweeps and single runs."""
    folder = Path(str(ctx.params.get("ledger") or "runs"), "sweeps")
    try:
        with os.scandir(folder) as entries:
            times = {one.path: one.stat().st_mtime for one in entries if one.name[0] != "."}
    except OSError:
        return []
    newest = sorted(times, key=lambda path: -times[path])[:RECENT]
    return [Path(path) for path in newest]


def _runs_of(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGE:
            return []
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError):  # removed meanwhile, or damaged
        return []
    return [str(one) for one in plain.get("run_ids", ())] if isinstance(plain, dict) else []


def keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Settings by name alone, as `harness explain optim.lr` and --by take them."""
    del ctx, param
    return _beginning([*catalogue.groups(), *catalogue.entries()], incomplete)


def conditions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """KEY=VALUE of --where and --baseline."""
    del ctx, param
    return [one for one in settings((), incomplete) if one.count("=") == 1 or "." in one]


def explained(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What `harness explain` knows: settings, groups, choices."""
    if "=" in incomplete:
        return settings((), incomplete)
    return keys(ctx, param, incomplete)


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of what is measured; --sort takes settings too."""
    del ctx
    known = [*METRICS.names(), *(catalogue.entries() if param.name == "sort" else ())]
    return _beginning(known, incomplete)


def kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Kinds of components."""
    del ctx, param
    return _beginning(REGISTRIES, incomplete)


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Files and folders here."""
    del ctx, param
    return paths("", incomplete)


def _beginning(known: Iterable[str], incomplete: str) -> list[str]:
    return [one for one in known if one.startswith(incomplete)]
