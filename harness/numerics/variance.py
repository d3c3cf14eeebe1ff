"""Where the spread over seeds comes from: initial weights, order of the batches, or the split.

Swept together (seed=0,1,2) the three cannot be told apart. Swept apart, in every combination
(init.seed=0,1,2 train.batch_seed=0,1,2), a balanced additive analysis of variance divides the
spread: the sum of squares of a factor's level means over the whole sum of squares. What no factor
explains by itself is interaction. Bouthillier et al. 2021, arXiv:2103.03098, on why it matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import fdtrc

if TYPE_CHECKING:
    import pandas as pd

SOURCES = ("init.seed", "train.batch_seed", "data.split_seed")


@dataclass(frozen=True)
class Share:
    """One source of spread.

    share: of the sum of squares, 0 to 1; unbiased: omega squared, the share less what chance alone
    gives a factor of as many levels (0 at least). df: degrees of freedom, summed over
    configurations; f and p against the remainder, None where nothing remains to compare with.
    """

    source: str
    share: float
    unbiased: float | None
    df: int
    f: float | None
    p: float | None


@dataclass(frozen=True)
class Explained:
    """Shares of one metric's spread, the remainder's last; sd: of the runs within configurations.

    left_out: configurations that do not have every combination equally often.
    """

    metric: str
    sd: float
    shares: tuple[Share, ...]
    configurations: int
    left_out: int


def effective_seeds(runs: pd.DataFrame) -> dict[str, list[Any]]:
    """Per run, the seed that each source really had: null stands for the run's common seed."""
    common = runs["seed"].tolist() if "seed" in runs else [0] * len(runs)
    out = {}
    for key in SOURCES:
        own = runs[key].tolist() if key in runs else [None] * len(runs)
        out[key] = [c if o is None or o != o else o for o, c in zip(own, common, strict=True)]
    return out


def variance_explained(runs: pd.DataFrame, metric: str) -> Explained | None:
    """How much of a metric's spread within configurations each seed explains.

    runs: as SweepTable.runs. None where fewer than two seeds were swept apart. Runs without the
    metric make their configuration unbalanced, and such configurations are left out.
    """
    seeds = effective_seeds(runs)
    factors = _swept_apart(seeds)
    if len(factors) < 2 or metric not in runs:
        return None
    values = runs[metric].to_numpy(dtype=float)
    places: dict[str, list[int]] = {}
    for place, config in enumerate(runs["config_id"].tolist()):
        places.setdefault(config, []).append(place)
    squares = np.zeros(len(factors) + 1)  # each factor's, and the whole
    dfs = np.zeros(len(factors) + 1, dtype=int)
    used = 0
    for at in places.values():
        levels = [np.unique([seeds[f][i] for i in at], return_inverse=True)[1] for f in factors]
        y = values[at]
        if not np.isfinite(y).all() or not _balanced(levels):
            continue
        used += 1
        y = y - y.mean()
        for f, level in enumerate(levels):
            count = np.bincount(level)
            squares[f] += float((np.bincount(level, y) ** 2 / count).sum())
            dfs[f] += len(count) - 1
        squares[-1] += float((y**2).sum())
        dfs[-1] += len(y) - 1
    if not used or squares[-1] <= 0:
        return None
    return Explained(
        metric, float(np.sqrt(squares[-1] / dfs[-1])), _shares(factors, squares, dfs), used,
        len(places) - used,
    )  # fmt: skip


def _swept_apart(seeds: dict[str, list[Any]]) -> list[str]:
    """Sources that vary, but for those that only vary together with one before."""
    kept: list[str] = []
    seen: list[list[int]] = []
    for key, values in seeds.items():
        pattern = np.unique(np.asarray(values), return_inverse=True)[1]
        first = {v: i for i, v in reversed(list(enumerate(pattern.tolist())))}
        shape = [first[v] for v in pattern.tolist()]
        if len(first) > 1 and shape not in seen:
            kept.append(key)
            seen.append(shape)
    return kept


def _balanced(levels: Sequence[np.ndarray[Any, Any]]) -> bool:
    """Whether every combination of two levels or more of every factor occurs equally often."""
    sizes = [int(level.max()) + 1 for level in levels]
    if min(sizes) < 2:
        return False
    cell = np.ravel_multi_index(tuple(levels), tuple(sizes))
    count = np.bincount(cell, minlength=int(np.prod(sizes)))
    return bool((count == count[0]).all())


def _shares(factors: Sequence[str], squares: Any, dfs: Any) -> tuple[Share, ...]:
    total = float(squares[-1])
    rest = max(0.0, total - float(squares[:-1].sum()))
    df_rest = int(dfs[-1] - dfs[:-1].sum())
    mean_rest = rest / df_rest if df_rest > 0 else None
    out = []
    for place, factor in enumerate(factors):
        df, square = int(dfs[place]), float(squares[place])
        f_ratio = p = unbiased = None
        if mean_rest is not None:
            unbiased = max(0.0, (square - df * mean_rest) / (total + mean_rest))
            if mean_rest > 0:
                f_ratio = square / df / mean_rest
                p = float(fdtrc(df, df_rest, f_ratio))
        out.append(Share(factor, square / total, unbiased, df, f_ratio, p))
    out.append(Share("together (interaction)", rest / total, None, df_rest, None, None))
    return tuple(out)
