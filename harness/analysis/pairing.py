"""Paired differences: each run against its twin that has the baseline's settings instead.

Axes: N runs, M metrics, U units (one a seed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.selection import Condition, selected
from harness.numerics.folding import estimate, mean_by_unit, pairs
from harness.numerics.variance import effective_seeds

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable


def differences_to(
    table: SweepTable, values_NM: Any, code_N: Any, base: Sequence[Condition],
    names: Sequence[str], *, skip: Sequence[str],
) -> list[dict[str, dict[str, Any]]]:  # fmt: skip
    """Each run minus the run that has the baseline's settings and the same seeds, by group.

    code_N: each run's group, counted from 0; none is empty.

    Pairs share initial weights, batches and split, so that their differences vary less than their
    values do. Where a group pools settings, a seed's differences are averaged first: the unit of
    the interval is the seed, as runs of one seed are not independent.
    """
    pinned = {c.column for c in base}
    keys = [k for k in table.varying_settings if k not in pinned and k not in skip]
    seeds = list(zip(*effective_seeds(table.runs).values(), strict=True))
    rest = list(zip(*(table.runs[k].map(repr) for k in keys), strict=True)) or [()] * len(seeds)
    is_base = np.array(selected(table, base), dtype=bool)
    met = pairs(
        np.flatnonzero(is_base), np.flatnonzero(~is_base), list(zip(rest, seeds, strict=True))
    )
    place = [table.metrics.index(n) for n in names if n in table.metrics]
    of_group: list[list[tuple[int, int]]] = [[] for _ in range(1 + int(max(code_N)))]
    for i, j in met:
        of_group[int(code_N[j])].append((i, j))
    out = []
    for mine in of_group:
        left, right = [i for i, _ in mine], [j for _, j in mine]
        change_PM = values_NM[np.ix_(right, place)] - values_NM[np.ix_(left, place)]
        units_UM = mean_by_unit(change_PM, [seeds[j] for j in right])
        found = {table.metrics[m]: estimate(units_UM[:, i]) for i, m in enumerate(place)}
        out.append(
            {
                name: {"n": one.n, **one.entry(), "effect_size": one.effect_size}
                for name, one in found.items()
                if one.n
            }
        )
    return out
