"""Paired differences: each run against its twin that has the baseline's settings instead.

Axes: N runs, M metrics, U units (one a seed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.selection import Condition, selected
from harness.numerics.folding import difference
from harness.numerics.variance import effective_seeds

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable


def differences_to(
    table: SweepTable, values_NM: Any, code_N: Any, groups: int, base: Sequence[Condition],
    names: Sequence[str], *, skip: Sequence[str],
) -> list[dict[str, dict[str, Any]]]:  # fmt: skip
    """Each run minus the run that has the baseline's settings and the same seeds, by group.

    Pairs share initial weights, batches and split, so that their differences vary less than their
    values do. Where a group pools settings, a seed's differences are averaged first: the unit of
    the interval is the seed, as runs of one seed are not independent.
    """
    pinned = {c.column for c in base}
    keys = [k for k in table.varying_settings if k not in pinned and k not in skip]
    columns = [table.runs[k].tolist() for k in keys]
    seeds = list(zip(*effective_seeds(table.runs).values(), strict=True))
    rest = [tuple(map(repr, v)) for v in zip(*columns, strict=True)] or [()] * len(seeds)
    is_base = selected(table, base)
    at = {(r, s): i for i, (r, s) in enumerate(zip(rest, seeds, strict=True)) if is_base[i]}
    place = [table.metrics.index(n) for n in names if n in table.metrics]
    pairs: list[dict[Any, list[Any]]] = [{} for _ in range(groups)]
    for run, mark in enumerate(is_base):
        other = at.get((rest[run], seeds[run]))
        if other is not None and not mark:
            change = values_NM[run, place] - values_NM[other, place]
            pairs[int(code_N[run])].setdefault(seeds[run], []).append(change)
    out = []
    for found in pairs:
        units = [_mean(np.array(part)) for part in found.values()]
        table_UM = np.array(units) if units else np.zeros((0, len(place)))
        entries = {}
        for m, column in enumerate(place):
            entry = difference(table_UM[:, m])
            if entry["n"]:
                entries[table.metrics[column]] = entry
        out.append(entries)
    return out


def _mean(part_NM: Any) -> Any:
    """Column means of what is there; nan where nothing is."""
    there = np.isfinite(part_NM)
    count = there.sum(0)
    total = np.where(there, part_NM, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
