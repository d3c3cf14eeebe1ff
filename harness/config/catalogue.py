"""Every setting there is, with all that is known of it: for help, completion and the docs."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.components.registry import Registry
from harness.config.fields import allowed, choices
from harness.config.groups import GROUPS
from harness.config.keys import SEED
from harness.config.labels import text
from harness.config.meanings import MEANINGS
from harness.config.settings import CLUSTERS, Halving, Ledger, Search, Tracking

Rule = Mapping[str, Any]
IN_WORDS = {  # what no rule of a field says
    "data.end": "one character, no blank",
    "tracking.tags": "a mapping of names to texts",
    "train.metrics": "a list of names that a package of yours or a call of register brought",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One setting. allowed: its range and unit in words; default as one writes it.

    counts: part of a run's id; seed: replicates may differ in it; stacks: runs that differ in it
    are trained in one program. choices: the values that can be listed. registry: of the components
    that it names.
    """

    key: str
    meaning: str
    allowed: str
    default: str
    counts: bool = False
    seed: bool = False
    stacks: bool = True
    choices: tuple[str, ...] = ()
    registry: Registry[Any] | None = None

    @property
    def group(self) -> str:
        """What stands before the last dot; the key itself at the top."""
        return self.key.rpartition(".")[0] or self.key


@functools.cache
def groups() -> dict[str, type]:
    """{"optim": its class, ...}: every group of settings, those of a run first."""
    clusters = {f"engine.{name}": kind for name, kind in CLUSTERS.items()}
    around = {"tracking": Tracking, "ledger": Ledger, "halving": Halving, "search": Search}
    return {**GROUPS, **clusters, **around}


def about(group: str) -> str:
    """What a group is for, in one sentence."""
    return (groups()[group].__doc__ or "").split("\n")[0]


def entries() -> dict[str, Entry]:
    """{"group.key": entry}, in the order of the config; components of other packages included."""
    out: dict[str, Entry] = {}
    for name, group in groups().items():
        kinds = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            if "settings_of" not in field.metadata:
                key = f"{name}.{field.name}"
                out[key] = _entry(key, field.metadata, kinds[field.name])
        if name == "engine.slurm":
            out["seed"] = _entry("seed", SEED.metadata, int)
    return out


def _entry(key: str, rule: Rule, kind: Any) -> Entry:
    words = IN_WORDS.get(key) or allowed(rule, kind)
    default = text(rule.get("default", {}))
    values = choices(rule, kind) if key not in IN_WORDS else ()
    if default == "auto" and "auto" not in words:
        words, values = f"auto, or {words}", ("auto", *values)
    return Entry(
        key=key, meaning=MEANINGS[key], allowed=words, default=default,
        counts=bool(rule.get("numeric", False)), seed=bool(rule.get("seed", False)),
        stacks=bool(rule.get("stacks", True)), choices=values,
        registry=rule.get("component") if key not in IN_WORDS else None,
    )  # fmt: skip
