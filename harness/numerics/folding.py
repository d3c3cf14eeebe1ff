"""Replicates folded to a mean and what is known of it; pairs of runs. Numpy and scipy.special.

Axes: N runs, M metrics, G groups, P pairs, U units. A value that a run lacks is nan, and left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95
PLUS_MINUS = "± half the 95 % interval"  # what it means in every table


@dataclass(frozen=True)
class Estimate:
    """A mean over n values, their standard deviation (n - 1), half the 95 % interval of the mean.

    None where unknown: everything but n of no value, sd and half of one.
    """

    n: int
    mean: float | None
    sd: float | None
    half: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean; None for fewer than two values."""
        if self.mean is None or self.half is None:
            return None
        return self.mean - self.half, self.mean + self.half

    @property
    def effect_size(self) -> float | None:
        """Mean over sd, of paired differences Cohen's d; None of one, or where all are equal."""
        return self.mean / self.sd if self.mean is not None and self.sd else None

    def words(self) -> str:
        """The mean and half its interval as text: "2.6079 ±0.0404", "2.6079", or "-"."""
        if self.mean is None:
            return "-"
        return f"{self.mean:.4f}" + ("" if self.half is None else f" ±{self.half:.4f}")

    def entry(self) -> dict[str, Any]:
        """{"mean", "sd", "ci95": [low, high]} as JSON has it; null where unknown."""
        ends = self.interval
        return {"mean": self.mean, "sd": self.sd, "ci95": list(ends) if ends else None}


@dataclass(frozen=True)
class Folded:
    """Per group and metric, (G, M): how many values, their mean, sd (n - 1), half the interval.

    nan where there is no value, and for sd and half where there is only one.
    """

    n: NDArray[np.int64]
    mean: Floats
    sd: Floats
    half: Floats

    def at(self, group: int, metric: int) -> Estimate:
        """One group's estimate of one metric."""
        n = int(self.n[group, metric])
        mean, sd, half = (
            float(part[group, metric]) if n > least else None
            for part, least in ((self.mean, 0), (self.sd, 1), (self.half, 1))
        )
        return Estimate(n, mean, sd, half)


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
    from scipy.special import stdtrit  # a quarter of a second, which finding a run needs not wait

    out: Floats = np.asarray(stdtrit(np.maximum(df, 1.0), 0.5 + LEVEL / 2), dtype=np.float64)
    return out


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """The mean of one sample and what is known of it; values that are not finite are left out."""
    if len(values) == 1:  # of tens of thousands of configurations with one seed
        value = float(np.ravel(values)[0])
        return Estimate(1, value, None, None) if math.isfinite(value) else Estimate(0, *[None] * 3)
    array = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return fold(array, np.zeros(len(array), dtype=np.int64), 1).at(0, 0)


def pairs(
    left: Iterable[int], right: Iterable[int], keys: Sequence[Hashable]
) -> list[tuple[int, int]]:
    """(i, j) for each run j on the right and the run i on the left that has the same key.

    keys: per run, what the two must share: all settings but those that tell the sides apart, and
    every seed, so that initial weights, batches and split are the same.
    """
    at = {keys[i]: i for i in left}
    return [(at[keys[j]], j) for j in right if keys[j] in at]


def mean_by_unit(values_PM: Floats, units: Sequence[Hashable]) -> Floats:
    """(U, M): the pairs of each unit averaged, in order of first appearance.

    The unit of an interval is the seed: runs of one seed share draws and are not independent.
    """
    place: dict[Hashable, int] = {}
    code_P = np.array([place.setdefault(unit, len(place)) for unit in units], dtype=np.int64)
    return fold(np.asarray(values_PM, dtype=np.float64), code_P, len(place)).mean
