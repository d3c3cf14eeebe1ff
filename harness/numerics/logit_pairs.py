"""How the losses of two examples vary together over draws of the network.

A whole-split loss averages thousands of examples, but they all pass through one network, so it
does not average out. Given the hidden layers, the logits of two examples are jointly normal with
some correlation rho in every class, and the loss's variance is the mean over pairs of examples of
the covariance of their losses, a power series in rho with coefficients >= 0 (a Hermite
expansion). Here its first two coefficients, its sum at rho = 1 and its slope there are exact where
they matter; the rest is a geometric series through those four. What the hidden layers add, by
making s itself vary, is `initial_loss`'s part.

Axes: V classes, M pairs of examples, N Hermite orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.numerics.logit_law import LogitLaw, log_sum_exp, probabilities, products, squares
from harness.numerics.quadrature import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Meeting:
    """Targets of the two examples of each pair."""

    joint: Array  # (L, V, V) for L kinds of pairs, each summing to 1
    level: NDArray[np.int64]  # (M,) each pair's kind

    @property
    def same(self) -> Array:
        """Chance of one target (M,)."""
        out: Array = np.trace(self.joint, axis1=1, axis2=2)[self.level]
        return out

    def marginal(self, smoothing: float) -> Array:
        """Mean smoothed target of either example (M, V)."""
        V = self.joint.shape[1]
        mean = (self.joint.sum(1) + self.joint.sum(2)) / 2
        return ((1 - smoothing) * mean + smoothing / V)[self.level]

    def mean(self, values: Array) -> Array:
        """Mean over pairs of targets of values (V, V, ...), for each pair of examples; (M, ...)."""
        return np.tensordot(self.joint, values, 2)[self.level]

    def overlap(self, smoothing: float) -> Array:
        """E sum_v t_v t'_v (M,) of two smoothed targets."""
        keep = (1 - smoothing) ** 2
        return keep * self.same + (1 - keep) / self.joint.shape[1]


def series(rho: Array, first: float, second: float, total: float, slope: float) -> Array:
    """sum_n a_n rho^n from a_1, a_2, the sum and sum n a_n; orders from 3 on are geometric."""
    rest = max(total - first - second, 0.0)
    mean_order = (slope - first - 2 * second) / rest if rest > 1e-12 * total else 3.0
    g = 1 - 1 / (1 + max(mean_order - 3.0, 0.0))
    out: Array = first * rho + second * rho**2 + rest * rho**3 * (1 - g) / (1 - g * rho)
    return out


def log_sum_exp_series(law: LogitLaw, rho: Array) -> Array:
    """Covariance of two examples' log sum_v e^(z_v).

    Coefficients: s^2 |E p|^2; s^4/2 |E (diag p - p p^T)|^2; slope at 1: s^2 E sum p^2.
    """
    k = law.noise**2
    flat = law.normal()
    p = probabilities(flat)
    curve = -products(flat)
    np.fill_diagonal(curve, p - squares(flat))
    first, second = k * float(p @ p), k * k / 2 * float((curve**2).sum())
    total, slope = log_sum_exp(flat)[1], k * float(squares(flat).sum())
    out = series(rho, first, min(second, max(total - first, 0.0)), total, slope)
    if law.half_width and total > 0:  # a uniform bias spreads less than a normal one
        out = out * (log_sum_exp(law)[1] / total)
    return out
