"""Runs put into groups: by settings, and by the learning rate that suits each loss best.

Axes: N runs, M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.components.metrics import metric_of
from harness.records.partial import READ, counts, ended_early

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable

LR = "optim.lr"


def lower_is_better(metric: str) -> bool:
    """Whether less is better, or at least comes first where neither is."""
    return metric_of(metric).better != "higher"


def values_of_runs(table: SweepTable) -> NDArray[np.float64]:
    """(N, M) metrics; of a run that ended early only those that may be compared (see partial)."""
    values_NM = table.runs[list(table.metrics)].to_numpy(dtype=float, copy=True)
    ended = np.array([ended_early(row) for row in table.rows(READ)], dtype=object)
    for how in set(ended) - {""}:
        out = np.array([not counts(metric, how) for metric in table.metrics], dtype=bool)
        values_NM[np.ix_(ended == how, out)] = np.nan
    return values_NM


def groups_of(
    table: SweepTable, keys: Sequence[str], *, configs: bool
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Code of each run's group, and each group's settings; configs: by config_id as well."""
    columns = [table.runs[key].tolist() for key in keys]
    own = table.runs["config_id"].tolist() if configs else [None] * len(table.runs)
    codes: dict[Any, int] = {}
    labels: list[dict[str, Any]] = []
    code_N = np.zeros(len(table.runs), dtype=np.int64)
    for run, (config, *values) in enumerate(zip(own, *columns, strict=True)):
        group = config if configs else tuple(map(repr, values))
        if group not in codes:
            codes[group] = len(labels)
            labels.append(dict(zip(keys, values, strict=True)))
        code_N[run] = codes[group]
    return code_N, labels


def best_rates(
    table: SweepTable, values_NM: Any, metric: str, by: Sequence[str]
) -> tuple[list[dict[str, Any]], NDArray[np.bool_]]:
    """Each loss's best learning rate (within each group of `by`), and the runs that have it.

    Best: fewest runs diverged, then the best mean of the metric over everything else.
    """
    keys = [k for k in dict.fromkeys([*by, "loss.name"]) if k in table.runs and k != LR]
    column = values_NM[:, table.metrics.index(metric)]
    sign = 1.0 if lower_is_better(metric) else -1.0
    code_N, labels = groups_of(table, keys, configs=False)
    rates = table.runs[LR].to_numpy(dtype=float)
    bad = (table.runs["verdict"] == "diverged").to_numpy()
    keep = np.zeros(len(column), dtype=bool)
    out = []
    for g, label in enumerate(labels):
        tried = np.unique(rates[code_N == g])
        scored = []
        for rate in tried:
            at = (code_N == g) & (rates == rate)
            known = column[at & np.isfinite(column)]
            mean = float(known.mean()) if len(known) else np.inf * sign
            scored.append((float(bad[at].mean()), sign * mean, float(rate), mean))
        best = min(scored)
        keep |= (code_N == g) & (rates == best[2])
        out.append({"group": label, "lr": best[2], "of": tried.tolist(), metric: best[3]})
    return out, keep


def name_rates(rows: Sequence[dict[str, Any]], table: SweepTable, code_N: Any) -> tuple[str, ...]:
    """Give each row the rate it was compared at, where that is one; the key this adds."""
    rates = table.runs[LR].to_numpy(dtype=float)
    own = [np.unique(rates[code_N == g]) for g in range(len(rows))]
    if any(len(found) != 1 for found in own):
        return ()
    for row, found in zip(rows, own, strict=True):
        row["config"] = row["config"] | {LR: float(found[0])}
    return (LR,)
