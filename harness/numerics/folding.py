"""Replicates folded to a mean and what is known of it. Needs numpy and scipy.special alone.

Axes: N runs, M metrics, G groups. A value that a run lacks is nan, and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Folded:
    """Per group and metric, (G, M): how many values, their mean, sd (n - 1), half the interval.

    nan where there is no value, and for sd and half where there is only one.
    """

    n: NDArray[np.int64]
    mean: Floats
    sd: Floats
    half: Floats

    def entry(self, group: int, metric: int) -> dict[str, object]:
        """{"mean", "sd", "ci95": [low, high]}; null where unknown."""
        mean, sd = float(self.mean[group, metric]), float(self.sd[group, metric])
        half = float(self.half[group, metric])
        known = self.n[group, metric] > 1
        return {
            "mean": mean,
            "sd": sd if known else None,
            "ci95": [mean - half, mean + half] if known else None,
        }


def fold(values_NM: Floats, code_N: NDArray[np.int64], groups: int) -> Folded:
    """Fold the runs of each group, code 0 ... groups - 1.

    The interval is Student's, mean +- t(.975, n - 1) sd / sqrt(n): exact for normal values.
    """
    there_NM = np.isfinite(values_NM)
    columns = range(values_NM.shape[1])

    def summed(what_NM: NDArray[np.float64]) -> Floats:
        parts = [np.bincount(code_N, what_NM[:, m], minlength=groups) for m in columns]
        return np.stack(parts, 1) if parts else np.zeros((groups, 0))

    n_GM = summed(there_NM.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_GM = summed(np.where(there_NM, values_NM, 0.0)) / n_GM
        off_NM = np.where(there_NM, values_NM - mean_GM[code_N], 0.0)
        sd_GM = np.sqrt(summed(off_NM**2) / (n_GM - 1))
        half_GM = t_quantile(n_GM - 1) * sd_GM / np.sqrt(n_GM)
    alone = n_GM < 2
    sd_GM[alone] = half_GM[alone] = np.nan
    return Folded(n_GM.astype(np.int64), mean_GM, sd_GM, half_GM)


def t_quantile(df: Floats | float) -> Floats:
    """The point that Student's t with these degrees of freedom exceeds in 2.5 % of cases."""
    out: Floats = np.asarray(stdtrit(np.maximum(df, 1.0), 0.5 + LEVEL / 2), dtype=np.float64)
    return out


def interval(values: Sequence[float] | Floats) -> dict[str, object]:
    """{"n", "mean", "sd", "ci95"} of one sample; null where unknown, {"n": 0} for none."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return {"n": 0}
    one = fold(array[:, None], np.zeros(len(array), dtype=np.int64), 1)
    return {"n": len(array), **one.entry(0, 0)}


def difference(values: Sequence[float] | Floats) -> dict[str, object]:
    """`interval` of paired differences, and their effect size mean / sd (Cohen's d of pairs).

    The effect size is null where there is one pair, or where all differences are equal.
    """
    out = interval(values)
    mean, sd = out.get("mean"), out.get("sd")
    if isinstance(mean, float):
        out["effect_size"] = mean / sd if isinstance(sd, float) and sd > 0 else None
    return out
