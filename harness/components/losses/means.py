"""Expected value of every loss over a law of the logits, exact: closed form or one integral.

Every function takes the law, the target frequencies (V,) (None: all equal) and, where the loss
knows them, label smoothing a (targets t = (1-a) onehot + a/V) and whether classes are summed
rather than averaged. Targets are drawn independently of the logits' noise. Binary laws have V = 1
and target frequencies (share of -1, share of +1). Units are the loss's own.
"""
# ruff: noqa: ARG001  (one signature for all losses)

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harness.numerics.logit_law import LogitLaw, log_sum_exp, probabilities, squares
from harness.numerics.quadrature import (
    Array,
    cdf,
    mean_positive_cube,
    mean_positive_part,
    normal_nodes,
)  # fmt: skip

Target = Sequence[float] | Array | None


def targets(law: LogitLaw, target: Target, smoothing: float = 0.0) -> Array:
    """Mean target distribution (V,), smoothed."""
    u = np.full(law.V, 1 / law.V) if target is None else np.asarray(target, float)
    return (1 - smoothing) * u + smoothing / law.V


def expected_cross_entropy(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E log sum_v e^(z_v) - sum_v t_v E z_v, nats per character; ln V at equal logits.

    For i.i.d. normal logits: ln V + (s^2/2)(1 - 1/V) - s^4 (V-1)/(4 V^2) + ... when s is small,
    m (s + pi^2 / (12 s)), m = E max of V normals, when it is large.
    """
    gap = np.asarray(law.mean) - max(law.mean)
    shifted = LogitLaw(law.std, tuple(float(v) for v in gap), law.half_width)
    return log_sum_exp(shifted)[0] - float(targets(law, target, smoothing) @ gap)


def expected_mse(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v (z_v - t_v)^2 over V: s^2 + 1/V for i.i.d. logits of mean 0 (sum V s^2 + 1)."""
    m, t = np.asarray(law.mean), targets(law, target, smoothing)
    total = law.V * law.noise**2 + float(m @ m) - 2 * float(m @ t) + _square(law, smoothing)
    return total if summed else total / law.V


def expected_brier(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v (p_v - t_v)^2 over V, p = softmax(z): from (1 - 1/V)/V towards (2 - 2/V)/V.

    E sum p^2 = 1 - F'(s)/s for i.i.d. normal logits, with F the expected cross-entropy.
    """
    t = targets(law, target, smoothing)
    total = float(squares(law).sum() - 2 * t @ probabilities(law)) + _square(law, smoothing)
    return total if summed else total / law.V


def _square(law: LogitLaw, smoothing: float) -> float:
    """sum_v t_v^2 of one smoothed target."""
    keep = (1 - smoothing) ** 2
    return keep + (1 - keep) / law.V


def expected_bce(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v softplus(z_v) - t_v z_v over V: ln 2 + s^2/8 - s^4/64 + ... for small s."""
    law = law.simplified()
    m, t = np.asarray(law.mean), targets(law, target, smoothing)
    means, count = np.unique(m, return_counts=True)
    total = float(count @ softplus(means, law)) - float(t @ m)
    return total if summed else total / law.V


def softplus(mean: Array, law: LogitLaw) -> Array:
    """E log(1 + e^(mean + noise)) for each mean.

    The positive part in closed form, and the smooth rest log(1 + e^-|z|), which past a width of
    one is integrated over z instead of over the noise.
    """
    if law.noise == 0:
        return np.logaddexp(0.0, mean)
    if law.noise <= 1:
        z, w = law.noise_nodes(87)
        return np.logaddexp(0.0, mean[:, None] + z) @ w
    z = np.linspace(0.0, 40.0, 4001)
    rest = np.log1p(np.exp(-z))
    weight = np.full(z.shape, 0.01)
    weight[0] = weight[-1] = 0.005
    dense = law.noise_pdf(z - mean[:, None]) + law.noise_pdf(-z - mean[:, None])
    return positive_part(mean, law) + dense @ (weight * rest)


def positive_part(mean: Array, law: LogitLaw) -> Array:
    """E max(0, mean + noise) for each mean."""
    c = law.half_width
    if c == 0:
        return mean_positive_part(mean, law.std)

    def integral(x: Array) -> Array:  # of E max(0, x + std * normal)
        if law.std == 0:
            return np.maximum(x, 0.0) ** 2 / 2
        t = x / law.std
        density = np.exp(-0.5 * np.minimum(np.abs(t), 1e3) ** 2) / math.sqrt(2 * math.pi)
        return ((x * x + law.std**2) * cdf(t) + x * law.std * density) / 2

    return (integral(mean + c) - integral(mean - c)) / (2 * c)


def expected_hinge(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E of the sum over rivals j of max(0, 1 + z_j - z_y), over V (Weston & Watkins).

    I.i.d. normal logits, tau = s sqrt(2): (V-1)/V [Phi(1/tau) + tau phi(1/tau)], phi the density.
    """
    law = law.simplified()
    m, u = np.asarray(law.mean), targets(law, target)
    margin = 1 + m[None, :] - m[:, None]  # (y, j)
    tau, c = law.std * math.sqrt(2), law.half_width
    if c == 0:
        each = mean_positive_part(margin, tau)
    else:  # the difference of two uniforms is triangular: a second difference of the integral
        up, down = (mean_positive_cube(margin + d, tau) for d in (2 * c, -2 * c))
        each = (up - 2 * mean_positive_cube(margin, tau) + down) / (4 * c * c)
    total = float(u @ (each.sum(1) - np.diag(each)))
    return total if summed else total / law.V


def expected_crammer_singer(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E max(0, 1 + max over rivals of z_j - z_y): 1 at equal logits."""
    law = law.simplified()
    m, u = np.asarray(law.mean), targets(law, target)
    if law.noise == 0:
        return float(sum(u[y] * max(0.0, 1 + np.delete(m, y).max() - m[y]) for y in range(law.V)))
    if law.exchangeable:
        return _crammer_singer_iid(law)
    if law.half_width:
        law = law.normal()
    strongest, cost = leaders(law), np.zeros(law.V)
    x, _ = normal_nodes(173)
    for j, weight_yX in enumerate(strongest):  # the strongest rival is j at z_j = m_j + s x
        spare = mean_positive_part(1 + m[j] + law.std * x - m[:, None], law.std)
        cost += (weight_yX * spare).sum(1)
    return float(u @ cost)


def leaders(law: LogitLaw) -> Iterator[Array]:
    """For each class j in turn, the density (y, X) that j, at m_j + s x, is y's strongest rival.

    Over the nodes of `normal_nodes(173)`, weights included; every factor is smooth on the scale
    of x however small or large s is.
    """
    m = np.asarray(law.mean)
    x, w = normal_nodes(173)
    for j in range(law.V):
        below = np.log(np.maximum(cdf((m[j] - m)[:, None] / law.std + x), 1e-300))
        total = below.sum(0) - below[j]
        lead = np.exp(np.minimum(total - below, 0.0)) * w
        lead[j] = 0.0
        yield lead


def _crammer_singer_iid(law: LogitLaw) -> float:
    """Int P(z_y < 1 + m) P(strongest rival > m) dm: E of the length of the interval between."""
    reach = 9 * law.std + law.half_width
    if law.noise < 0.05:  # the margin is never reached
        m = np.linspace(-reach, reach, 4001)
        inside = law.noise_cdf(m) ** (law.V - 1)
        return 1 + reach - float(np.trapezoid(inside, m))
    m = np.linspace(-1 - reach, reach, 6001)
    inside = law.noise_cdf(1 + m) * (1 - law.noise_cdf(m) ** (law.V - 1))
    return float(np.trapezoid(inside, m))


def expected_squared_error(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E (z - y)^2, y = -1 or +1: mean^2 + s^2 + 1 - 2 mean E y."""
    m, (minus, plus) = law.mean[0], _labels(target)
    return m * m + law.noise**2 + 1 - 2 * m * (plus - minus)


def expected_binary_cross_entropy(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E log(1 + e^(-y z)), nats per example; ln 2 at z = 0."""
    minus, plus = _labels(target)
    law = law.simplified()
    cost = softplus(np.array([law.mean[0], -law.mean[0]]), law)
    return float(minus * cost[0] + plus * cost[1])


def expected_max_margin(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E max(0, 1 - y z): Phi(1/s) + s phi(1/s) for logits of mean 0."""
    minus, plus = _labels(target)
    law = law.simplified()
    cost = positive_part(np.array([1 + law.mean[0], 1 - law.mean[0]]), law)
    return float(minus * cost[0] + plus * cost[1])


def _labels(target: Target) -> tuple[float, float]:
    return (0.5, 0.5) if target is None else (float(target[0]), float(target[1]))
