"""Runs that ended before their last step, and which of their numbers may be compared.

One rule: such a run enters means, pairs and figures only with what it measured at steps that all
compared runs reached, or is counted beside them.

- diverged, or dropped by halving: the values at step 0 count and no other.
- stopped early, by its own `train.early_stopping`: its best values count too, as they are what that
  rule leaves it with; its last values are of another step than those of other runs.

A row is one flat mapping a run, as `records.table_row` gives it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from harness.components.metrics import metric_of

DIVERGED, STOPPED, DROPPED = "diverged", "stopped early", "dropped"
READ = ("verdict", "stopped_at", "best/step", "train.steps", "train.eval_every",
        "train.early_stopping")  # fmt: skip
# ^ the columns that `ended_early` reads


def ended_early(row: Mapping[str, Any]) -> str:
    """DIVERGED, STOPPED or DROPPED; "" for a run that reached its last step."""
    if row.get("verdict") == "diverged":
        return DIVERGED
    if _number(row.get("stopped_at")) is not None:
        return DROPPED
    return STOPPED if stopping_step(row) is not None else ""


def stopping_step(row: Mapping[str, Any]) -> int | None:
    """The step at which early stopping ended a run; None where it did not.

    Training ends after so many evaluations without a better nll/val, so that step follows from
    the best one.
    """
    patience, best = _number(row.get("train.early_stopping")), _number(row.get("best/step"))
    steps = _number(row.get("train.steps"))
    if patience is None or best is None or steps is None:
        return None
    every = _number(row.get("train.eval_every")) or max(1, math.ceil(steps / 20))
    stop = best + patience * every
    return int(stop) if stop < steps else None


def counts(metric: str, ended: str) -> bool:
    """Whether a metric of a run that ended so may be compared with those of other runs."""
    if not ended:
        return True
    when = metric_of(metric).when
    return when == "start" or (when == "best" and ended == STOPPED)


def remarks(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What must be said of the runs that ended early."""
    found = Counter(map(ended_early, rows))
    words = {
        DIVERGED: "only what {they} measured at step 0 is in a mean. A mean over the rest flatters "
        "{their} configuration",
        DROPPED: "only what {they} measured at step 0 is in a mean",
        STOPPED: "{their} best values are in the means, {their} last ones are not: they are of "
        "other steps",
    }
    out = []
    for ended, what in words.items():
        if n := found[ended]:
            one = n == 1
            said = what.format(they="it" if one else "they", their="its" if one else "their")
            verb = ended if ended == DIVERGED else f"{'was' if one else 'were'} {ended}"
            out.append(f"{n} run{'' if one else 's'} {verb}: {said}.")
    return out


def _number(value: Any) -> float | None:
    real = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    return float(value) if real else None
