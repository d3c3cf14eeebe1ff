"""The law of one example's logits, and exact integrals of its softmax.

z_v = mean_v + half_width U_v + std x_v with x_v ~ N(0,1), U_v ~ U(-1,1), all independent.
Axes: V classes, G groups of classes with equal mean, U integration nodes.

Every softmax integral here comes from one identity, with Gumbel noise g_v of its own per class:
P(max_v (z_v + g_v) <= m) = E exp(-sum_v e^(z_v - m)) = prod_v phi(mean_v - m),
phi(u) = E exp(-e^(u + noise)). So a V-dimensional expectation is a one-dimensional integral.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.numerics.quadrature import EULER_GAMMA, Array, cdf, normal_nodes, pdf, uniform_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class LogitLaw:
    """Independent logits: fixed means (V,), a normal part of this std and a uniform part."""

    std: float
    mean: tuple[float, ...]
    half_width: float = 0.0

    @classmethod
    def iid(cls, std: float, V: int, half_width: float = 0.0) -> LogitLaw:
        """V logits of mean 0."""
        return cls(float(std), (0.0,) * V, half_width)

    @property
    def V(self) -> int:
        """Number of logits."""
        return len(self.mean)

    @property
    def noise(self) -> float:
        """Standard deviation of the random part."""
        return math.hypot(self.std, self.half_width / math.sqrt(3))

    @property
    def spread(self) -> float:
        """Standard deviation over classes and draws: the noise and the differing means."""
        return math.hypot(self.noise, float(np.std(self.mean)))

    @property
    def exchangeable(self) -> bool:
        """All means equal, so that no class is special."""
        return min(self.mean) == max(self.mean)

    def with_std(self, std: float) -> LogitLaw:
        """The same law with another normal part."""
        return dataclasses.replace(self, std=float(std))

    def simplified(self) -> LogitLaw:
        """Drops a part a hundred times smaller than the other into it (relative error 1e-7)."""
        if self.half_width < 0.03 * self.std:
            return LogitLaw(self.noise, self.mean)
        if self.std < 1e-6 * self.half_width:
            return LogitLaw(0.0, self.mean, self.half_width)
        return self

    def normal(self) -> LogitLaw:
        """The law with its uniform part replaced by a normal of the same variance."""
        return LogitLaw(self.noise, self.mean)

    def noise_cdf(self, t: Array) -> Array:
        """P(noise <= t)."""
        s, c = self.std, self.half_width
        if c == 0:
            return cdf(t / s)
        if s == 0:
            return np.clip((t + c) / (2 * c), 0.0, 1.0)

        def integral(x: Array) -> Array:  # of the normal cdf
            return x * cdf(x) + pdf(x)

        return s / (2 * c) * (integral((t + c) / s) - integral((t - c) / s))

    def noise_pdf(self, t: Array) -> Array:
        """Density of the noise at t."""
        s, c = self.std, self.half_width
        if c == 0:
            return pdf(t / s) / s
        if s == 0:
            return np.where(np.abs(t) <= c, 1 / (2 * c), 0.0)
        return (cdf((t + c) / s) - cdf((t - c) / s)) / (2 * c)

    def noise_nodes(self, count: int = 861) -> tuple[Array, Array]:
        """Nodes and weights of the noise."""
        x, w = (np.zeros(1), np.ones(1)) if self.std == 0 else normal_nodes(count)
        if self.half_width == 0:
            return self.std * x, w
        b, v = uniform_nodes(48 if self.std == 0 else 24)
        return (
            np.add.outer(self.half_width * b, self.std * x).ravel(),
            np.multiply.outer(v, w).ravel(),
        )


@dataclass(frozen=True)
class Tables:
    """phi on a grid u (U,) for each group of equal means; see `tables`."""

    law: LogitLaw  # simplified
    u: Array
    means: Array  # (G,)
    count: NDArray[np.integer[Any]]  # (G,) classes in each group
    group: NDArray[np.integer[Any]]  # (V,) the group of each class
    phi: Array  # (G, U)
    log_all: Array  # (U,) log prod_v phi

    @property
    def step(self) -> float:
        """Width of the grid."""
        return float(self.u[1] - self.u[0])


@lru_cache(maxsize=64)
def tables(law: LogitLaw) -> Tables:
    """Integration tables of a law; the grid follows its width, so any std from 0 to 1e30 works."""
    law = law.simplified()
    means, group, count = np.unique(law.mean, return_inverse=True, return_counts=True)
    s, c = law.std, law.half_width
    # the noisy maximum: its tails are Gumbel's (unit width), a normal's and the uniform's edges
    low = means[-1] - 9 * s - c - 6
    high = means[-1] + 9 * s + c + math.log(law.V) + 36
    step = max(0.3 * math.hypot(1, 0.25 * s), c / 500)
    u = -np.linspace(low, high, int((high - low) / step) + 2)[::-1]
    phi = _integrate(law, u, means, 0)
    log_all: Array = count.astype(np.float64) @ np.log(np.maximum(phi, 1e-300))
    return Tables(law, u, means, count, group, phi, log_all)


@lru_cache(maxsize=128)
def moment(law: LogitLaw, j: int) -> Array:
    """E y^j e^(-y), y = e^(u + mean + noise), on the grid of `tables(law)`; (G, U)."""
    t = tables(law)
    return _integrate(t.law, t.u, t.means, j)


def _integrate(law: LogitLaw, u: Array, means: Array, j: int) -> Array:
    """E y^j e^(-y) at u + mean for each mean, (G, U): of one function, so many means share it."""
    if len(means) < 4:
        return _moment(law, u + means[:, None], j)
    # six-point interpolation on a grid twice as fine: relative error 1e-7
    h = (u[1] - u[0]) / 2
    place = (means - means[0]) / h + 2
    whole = place.astype(int)
    count = 2 * len(u) + int(whole[-1]) + 4
    f = _moment(law, u[0] + means[0] + h * (np.arange(count) - 2), j)
    out = np.zeros((len(means), len(u)))
    for k in range(-2, 4):
        others = np.array([o for o in range(-2, 4) if o != k])
        weight = np.prod(((place - whole)[:, None] - others) / (k - others), axis=1)
        for g, at in enumerate(whole):
            out[g] += weight[g] * f[at + k : at + k + 2 * len(u) : 2]
    return np.maximum(out, 0.0)


def _moment(law: LogitLaw, shifted: Array, j: int) -> Array:
    """E y^j e^(-y), y = e^(shifted + noise)."""
    if law.noise <= 1:
        z, w = law.noise_nodes(87)
        y = np.exp(np.minimum(shifted[..., None] + z, 6.7))  # e^-y has vanished beyond
        out: Array = (y**j * np.exp(-y)) @ w
        return out
    # integrate over y = u + z instead, where e^(jy - e^y) is narrow and the noise is wide
    fine = 0.3 if law.std > 0.3 else 0.02
    y = np.arange(-34.0, 4.2, fine)
    weight = np.exp(y - np.exp(y)) * fine
    gap = y - shifted[..., None]
    if j == 0:
        return law.noise_cdf(gap) @ (weight / weight.sum())
    return law.noise_pdf(gap) @ (weight * np.exp((j - 1) * y))


@lru_cache(maxsize=256)
def log_sum_exp(law: LogitLaw) -> tuple[float, float]:
    """(mean, variance) of log sum_v e^(z_v)."""
    if law.noise == 0:
        return float(special.logsumexp(law.mean)), 0.0
    t = tables(law)
    m = -t.u[::-1]
    below = np.exp(t.log_all[::-1])
    h = t.step
    mean = m[-1] - h * (below.sum() - 0.5 * (below[0] + below[-1]))
    # E (m_top - M)^2 = 2 int (m_top - m) P(M <= m) dm
    # (the trapezoid rule loses h^2/6 to the corner at the top)
    second = 2 * h * ((m[-1] - m) * below).sum() + h * h / 6
    variance = second - (m[-1] - mean) ** 2 - math.pi**2 / 6
    if law.noise < 0.03:  # the difference has lost its digits; first two terms of the series
        k = law.noise**2
        p = np.exp(np.asarray(law.mean) - special.logsumexp(law.mean))
        variance = k * float(p @ p) + 0.5 * k * k * float(p @ p * (1 - p @ p))
    return float(mean - EULER_GAMMA), max(float(variance), 0.0)


@lru_cache(maxsize=256)
def probabilities(law: LogitLaw) -> Array:
    """E p_v (V,), p = softmax(z)."""
    if law.noise == 0:
        out: Array = special.softmax(np.asarray(law.mean))
        return out
    if law.exchangeable:
        return np.full(law.V, 1 / law.V)
    t = tables(law)
    each = (_ratio(law, 1) * np.exp(t.log_all)).sum(-1) * t.step
    return each[t.group] / float(t.count @ each)  # they sum to 1 but for rounding


@lru_cache(maxsize=256)
def squares(law: LogitLaw) -> Array:
    """E p_v^2 (V,)."""
    if law.noise == 0:
        return probabilities(law) ** 2
    t = tables(law)
    each: Array = (_ratio(law, 2) * np.exp(t.log_all)).sum(-1) * t.step
    return each[t.group]


def products(law: LogitLaw) -> Array:
    """E p_v p_w (V, V), its diagonal E p_v^2."""
    p = probabilities(law)
    if law.noise == 0:
        return np.outer(p, p)
    t = tables(law)
    r = _ratio(law, 1)
    each = (r * np.exp(t.log_all)) @ r.T * t.step
    full = each[np.ix_(t.group, t.group)]
    np.fill_diagonal(full, squares(law))
    return full


def power_moment(law: LogitLaw, powers: Sequence[int]) -> float:
    """E p_1^a p_2^b ... for distinct classes of an exchangeable law."""
    t = tables(law)
    inside = np.exp((law.V - len(powers)) * np.log(np.maximum(t.phi[0], 1e-300)))
    for power in powers:
        inside = inside * moment(law, power)[0]
    return float(inside.sum() * t.step / math.gamma(sum(powers)))


def _ratio(law: LogitLaw, j: int) -> Array:
    """moment_j / phi (G, U), 0 where phi has vanished: the product with prod phi is 0 there too."""
    phi = tables(law).phi
    out = np.zeros_like(phi)
    np.divide(moment(law, j), phi, out=out, where=phi > 1e-290)
    return out
