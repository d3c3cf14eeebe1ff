"""How far the loss of one drawn network lies from its expectation: the variance over draws.

A whole-split loss averages thousands of examples, but they all pass through one network, so it
does not average out. Given the hidden layers, the logits of two examples are jointly normal with
some correlation rho in every class, and the loss's variance is the mean over pairs of examples of
the covariance of their losses, a power series in rho with coefficients >= 0 (a Hermite
expansion). Here its first two coefficients, its sum at rho = 1 and its slope there are exact where
they matter; the rest is a geometric series through those four. What the hidden layers add, by
making s itself vary, is `initial_loss`'s part.

Axes: V classes, M pairs of examples, N Hermite orders.
"""
# ruff: noqa: ARG001  (one signature for all losses)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.components.losses.means import expected_crammer_singer, leaders
from harness.numerics.logit_law import (
    LogitLaw,
    log_sum_exp,
    power_moment,
    probabilities,
    products,
    squares,
)  # fmt: skip
from harness.numerics.quadrature import Array, cdf, correlate, hermite_table, normal_nodes, pdf

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


Spread = Callable[[LogitLaw, Array, Meeting, float], Array]
# (law, rho (M,), targets, smoothing) -> covariance (M,) of two examples' losses, classes summed


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


def cross_entropy(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Log sum e^z - t.z: the two parts are correlated by k E p (Stein's lemma)."""
    k = law.noise**2 * rho
    pull = y.marginal(a) @ probabilities(law)
    return log_sum_exp_series(law, rho) + k * (y.overlap(a) - 2 * pull)


def mse(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Sum (z - t)^2: 2 k^2 and the fourth cumulant a class, and 4 k (mean - t).(mean - t')."""
    k = law.noise**2 * rho
    m = np.asarray(law.mean)
    fourth = -2 / 15 * law.half_width**4
    apart = float(m @ m) - 2 * y.marginal(a) @ m + y.overlap(a)
    return law.V * np.maximum(2 * k * k + fourth, 0.0) + 4 * k * apart


def bce(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Sum softplus(z) - t.z: each class by its Hermite series."""
    k = law.noise**2 * rho
    x, w = normal_nodes()
    means, place, count = np.unique(law.mean, return_inverse=True, return_counts=True)
    z = means[:, None] + law.noise * x
    values = np.logaddexp(0.0, z)
    c = values @ hermite_table()
    c[:, 0] = 0.0
    variance = values**2 @ w - (values @ w) ** 2
    each = correlate(c[:, None], c[:, None], rho, np.maximum(variance, 0.0)[:, None])  # (G, M)
    pull = y.marginal(a) @ (cdf_logistic(z) @ w)[place]
    return count @ each + k * (y.overlap(a) - 2 * pull)


def cdf_logistic(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    return 0.5 * (1 + np.tanh(z / 2))


def brier(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Sum p^2 - 2 t.p, for classes alike; differing means enter to first order."""
    k, V = law.noise**2, law.V
    flat = LogitLaw.iid(law.noise, V)
    if k == 0:
        return np.zeros_like(rho)
    overlap = y.overlap(a) - 1 / V
    p2 = V * float(squares(flat)[0])
    # sum_v cov(p_v, p'_v) is the slope of the log-sum-exp series, term by term
    step = 1e-4
    near = np.clip(rho, -1.0, 1.0 - step)
    rise = (log_sum_exp_series(flat, near + step) - log_sum_exp_series(flat, near)) / (step * k)
    between = np.maximum(rise, 1 / V) - 1 / V
    own = 4 * between * overlap / (V - 1)
    out = own + _sum_of_squares(flat, rho)
    if not law.exchangeable:  # replace the first-order part by the exact one
        out = out - 4 * k * rho * overlap * ((1 - p2) / (V - 1)) ** 2
        g = brier_gradient(law.normal(), a)
        out = out + k * rho * y.mean(g @ g.T)
    return out


def _sum_of_squares(law: LogitLaw, rho: Array) -> Array:
    """Covariance of two examples' S = sum p^2, exchangeable classes; its first order vanishes.

    Second: (s^4/2) (E laplacian S)^2 / (V-1); slope at 1: s^2 E |grad S|^2, where
    grad_v S = 2 p_v (p_v - S) and laplacian S = 2 S - 8 sum p^3 + 6 S^2.
    """
    V, k = law.V, law.noise**2
    two, three = V * (V - 1), V * (V - 1) * (V - 2)

    def m(*powers: int) -> float:
        return power_moment(law, powers) if len(powers) <= V else 0.0

    s1, s2, p3 = V * m(2), V * m(4) + two * m(2, 2), V * m(3)
    s3 = V * m(6) + 3 * two * m(4, 2) + three * m(2, 2, 2)
    bend = 2 * s1 - 8 * p3 + 6 * s2
    steep = V * m(4) - 2 * (V * m(5) + two * m(3, 2)) + s3
    total = max(s2 - s1 * s1, 0.0)
    second = min(k * k / 2 * bend**2 / (V - 1), total)
    return series(rho, 0.0, second, total, max(4 * k * steep, 2 * second))


def brier_gradient(law: LogitLaw, a: float) -> Array:
    """E d(sum p^2 - 2 p_y)/d z_w (y, w)."""
    q = products(law)
    p, p2 = probabilities(law), squares(law)
    # d sum p^2 / d z_w = 2 p_w (p_w - sum p^2); its last factor by its mean
    common = 2 * (p2 - p * p2.sum())
    common -= common.mean()
    curve = -q
    np.fill_diagonal(curve, p - p2)
    out: Array = common - 2 * (1 - a) * curve
    return out


def hinge(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Sum_j max(0, 1 + z_j - z_y): margins that share y or j correlate by rho/2, both: rho."""
    V, m = law.V, np.asarray(law.mean)
    x, w = normal_nodes()
    kinds, place = np.unique(1 + m[None, :] - m[:, None], return_inverse=True)
    values = np.maximum(kinds[:, None] + math.sqrt(2) * law.noise * x, 0.0)
    table = values @ hermite_table()
    table[:, 0] = 0.0
    variances = np.maximum(values**2 @ w - (values @ w) ** 2, 0.0)
    n = np.arange(table.shape[-1])
    half, sign = 0.5**n, (-1.0) ** n
    powers = rho[:, None] ** n
    if law.exchangeable:
        h2 = table[0] ** 2
        c_same = (V - 1) * (1 + half * (V - 2)) * h2
        c_apart = (half * (V - 2) * (1 + 2 * sign) + sign) * h2
        rest = (V - 1) * (float(variances[0]) - float(h2.sum()))
    else:
        each, rest = _margins(table, variances, place.reshape(V, V), y.joint)
        series_ = each[y.level] * powers
        return series_.sum(-1) + y.same * max(rest, 0.0) * np.abs(rho) ** len(n)
    out: Array = powers @ c_same + max(rest, 0.0) * np.abs(rho) ** len(n)
    return y.same * out + (1 - y.same) * (powers @ c_apart)


def _margins(
    table: Array, variances: Array, place: NDArray[np.intp], joint: Array
) -> tuple[Array, float]:
    """Series (L, N) of each kind of pairs, and what lies beyond it for equal targets."""
    V = len(place)
    n = np.arange(table.shape[-1])
    half, sign = 0.5**n, (-1.0) ** n
    h = table[place]  # (y, j, N)
    h[np.arange(V), np.arange(V)] = 0.0
    variance = variances[place]
    variance[np.arange(V), np.arange(V)] = 0.0
    rows, own = h.sum(1), (h**2).sum(1)  # (y, N)
    inner = np.einsum("yjn,zjn->yzn", h, h)  # rivals in common
    back = h * h.transpose(1, 0, 2)  # each is the other's rival: correlation -rho
    lean = h * (rows[None] - h.transpose(1, 0, 2))  # one margin's rival is the other's target
    equal = half * (rows**2 - own) + own
    apart = half * inner + sign * back + half * sign * (lean + lean.transpose(1, 0, 2))
    apart[np.arange(V), np.arange(V)] = equal
    u = joint[-1].sum(1)
    rest = float(u @ variance.sum(1)) - float(u @ own.sum(-1))
    return np.tensordot(joint, apart, 2), rest


def crammer_singer(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """max(0, 1 + M - z_y), M the strongest rival; its rare zero enters as a factor."""
    s, V = law.noise, law.V
    flat = LogitLaw.iid(s, V)
    if s == 0:
        return np.zeros_like(rho)
    m, w = np.linspace(-9.0, 9.0, 1201), 18.0 / 1200
    spare = 1 + s * (m[:, None] - m[None, :])  # (rival, target)
    rival = (V - 1) * cdf(m) ** (V - 2) * pdf(m) * w
    second = float(rival @ np.maximum(spare, 0.0) ** 2 @ (pdf(m) * w))
    exact = max(second - expected_crammer_singer(flat) ** 2, 0.0)
    # first order exact; the rest has the shape of two maxima's covariance
    g = crammer_singer_gradient(flat)
    rest = max(exact - s * s * float(g[0] @ g[0]), 0.0)
    shape = rho**2
    if V > 2:
        top = _maximum(V - 1, np.append(rho, 1.0)) - np.append(rho, 1.0) / (V - 1)
        shape = top[:-1] / top[-1]
    kept = y.same + (1 - y.same) * ((V - 2) / (V - 1)) ** 2  # rivals that two targets share
    if not law.exchangeable:
        g = crammer_singer_gradient(law)
    return s * s * rho * y.mean(g @ g.T) + rest * shape * kept


def _maximum(n: int, rho: Array) -> Array:
    """Covariance of the maxima of two rows of n standard normals, correlated by rho in pairs."""
    x = np.linspace(-8.5, 8.5, 341)
    h = x[1] - x[0]
    below = cdf(x)
    # first order |E e_argmax|^2 = 1/n; at rho = 1 the variance, with slope 1
    mean = 8.5 - h * float((below**n).sum() - 0.5)
    second = 2 * h * float(((8.5 - x) * below**n).sum()) + h * h / 6
    variance = second - (8.5 - mean) ** 2
    if n == 1:
        return rho.astype(float)
    # E d/dx_i of 1{i is the maximum}: gap density at zero, from two equal leaders
    tie = float((pdf(x) ** 2 * below ** (n - 2)).sum() * h)
    curve = n * ((n - 1) * tie) ** 2 + n * (n - 1) * tie**2
    return series(rho, 1 / n, min(curve / 2, max(variance - 1 / n, 0.0)), variance, 1.0)


def crammer_singer_gradient(law: LogitLaw) -> Array:
    """E d loss_y / d z_w (y, w): how often w is y's strongest rival, ignoring the margin's end."""
    m, s = np.asarray(law.mean), law.noise
    x, _ = normal_nodes(173)
    g = np.zeros((law.V, law.V))
    for j, lead in enumerate(leaders(law.normal())):
        g[:, j] = (lead * cdf((1 + m[j] + s * x - m[:, None]) / s)).sum(1)
        if law.exchangeable:
            g[:] = g[1, 0]
            break
    np.fill_diagonal(g, 0.0)
    np.fill_diagonal(g, -g.sum(1))
    return g


SPREADS: dict[str, Spread] = {
    "cross_entropy": cross_entropy,
    "nll": cross_entropy,
    "mse": mse,
    "brier": brier,
    "bce": bce,
    "hinge": hinge,
    "crammer_singer": crammer_singer,
}
