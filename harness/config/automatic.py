"""One spelling of a setting: automatic values filled in, in plain settings of any version.

What a run was trained with is shown by its value, whether that was written or followed from another
setting: `init.output_bias=zero`, not null. A seed that merely follows `seed` is null.

Settings here are flat: {"group.key": value}. Tests hold these rules to RunConfig.resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.components.sources import SOURCES
from harness.config.keys import differing
from harness.errors import ConfigError, PluginError

Flat = Mapping[str, Any]


def _unique(flat: Flat) -> bool | None:
    try:
        return SOURCES.get(str(flat.get("data.name"))).unique_words
    except (ConfigError, PluginError):  # a source of an older or a foreign store
        return None


def _every(flat: Flat) -> int | None:
    steps = flat.get("train.steps")
    return None if steps is None else max(1, -(-int(steps) // 20))


FOLLOWS: dict[str, Callable[[Flat], Any]] = {  # what a setting is where it is null
    "data.unique_words": _unique,
    "init.output_bias": lambda flat: flat.get("init.bias"),
    "optim.embed_lr": lambda flat: flat.get("optim.lr"),
    "train.eval_every": _every,
    "init.seed": lambda flat: flat.get("seed"),
    "train.batch_seed": lambda flat: flat.get("seed"),
}
SEEDS = ("init.seed", "train.batch_seed")


def spelled(runs: Sequence[Flat]) -> list[dict[str, Any]]:
    """The same settings with automatic values filled in.

    A seed is null where it follows `seed` in all of these runs, and given in all of them otherwise:
    one that is held fixed while `seed` varies does not vary.
    """
    rows = [dict(flat) for flat in runs]
    for key, rule in FOLLOWS.items():
        for row in rows:
            if key in row and row[key] is None:
                row[key] = rule(row)
        if key in SEEDS and follows(rows, key):
            for row in rows:
                row |= {key: None} if key in row else {}
    return rows


def unspelled(flat: Flat) -> dict[str, Any]:
    """The same run with null wherever a setting merely follows another, as one would write it."""
    return {key: None if follows([flat], key) else value for key, value in flat.items()}


def follows(rows: Iterable[Flat], key: str) -> bool:
    """Whether a setting follows another in all of these runs, and does not vary by itself."""
    rule = FOLLOWS.get(key)
    return rule is not None and all(row.get(key) in (None, rule(row)) for row in rows)


def varying(rows: Sequence[Flat]) -> list[str]:
    """The settings that differ between these runs and follow no other, in order."""
    return [key for key in differing(rows) if not follows(rows, key)]
