"""Crammer and Singer's hinge: of the strongest rival alone, margin 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import logit_law, logit_pairs, quadrature, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")
    logit_law = lazy("harness.numerics.logit_law")
    logit_pairs = lazy("harness.numerics.logit_pairs")
    quadrature = lazy("harness.numerics.quadrature")
# ruff: noqa: ARG001  (one signature for all losses)


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """max(0, 1 + max over v != target of z[v] - z[target]); (K, B).

    In logit units; 0 or more; 1 at equal logits. Shift-invariant. Ignores smoothing and `summed`.
    Source: Crammer & Singer 2001.
    """
    index = target_KB[..., None]
    rival_KB = logits_KBV.scatter(-1, index, -math.inf).amax(-1)
    return (rival_KB - logits_KBV.gather(-1, index).squeeze(-1) + 1).relu()


def gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """1 for the strongest rival and -1 for the target while inside the margin; (K, B, V).

    Rivals that tie for strongest share the 1 evenly: the mean of the subgradients, as autograd
    takes it through amax. Exactly at the margin the gradient is 0.
    """
    index = target_KB[..., None]
    inside_KB1 = logits_KBV.gather(-1, index).sub_(1)
    out.copy_(logits_KBV).scatter_(-1, index, -math.inf)
    rival_KB1 = out.max(-1, keepdim=True).values  # amax is twice as slow on short rows
    inside_KB1 = torch.gt(rival_KB1, inside_KB1, out=inside_KB1)
    out.eq_(rival_KB1)
    out.mul_(inside_KB1 / out.sum(-1, keepdim=True))
    return out.scatter_(-1, index, inside_KB1.neg_())


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E max(0, 1 + max over rivals of z_j - z_y): 1 at equal logits."""
    law = law.simplified()
    m, u = np.asarray(law.mean), targets.target_shares(target, law.V)
    if law.noise == 0:
        return float(sum(u[y] * max(0.0, 1 + np.delete(m, y).max() - m[y]) for y in range(law.V)))
    if law.exchangeable:
        return _expected_alike(law)
    if law.half_width:
        law = law.normal()
    strongest, cost = _leaders(law), np.zeros(law.V)
    x, _ = quadrature.normal_nodes(173)
    for j, weight_yX in enumerate(strongest):  # the strongest rival is j at z_j = m_j + s x
        spare = quadrature.mean_positive_part(1 + m[j] + law.std * x - m[:, None], law.std)
        cost += (weight_yX * spare).sum(1)
    return float(u @ cost)


def _leaders(law: LogitLaw) -> Iterator[Array]:
    """For each class j in turn, the density (y, X) that j, at m_j + s x, is y's strongest rival.

    Over the nodes of `normal_nodes(173)`, weights included; every factor is smooth on the scale
    of x however small or large s is.
    """
    m = np.asarray(law.mean)
    x, w = quadrature.normal_nodes(173)
    for j in range(law.V):
        chance = quadrature.cdf((m[j] - m)[:, None] / law.std + x)
        below = np.log(np.maximum(chance, 1e-300))
        total = below.sum(0) - below[j]
        lead = np.exp(np.minimum(total - below, 0.0)) * w
        lead[j] = 0.0
        yield lead


def _expected_alike(law: LogitLaw) -> float:
    """Int P(z_y < 1 + m) P(strongest rival > m) dm: E of the length of the interval between."""
    reach = 9 * law.std + law.half_width
    if law.noise < 0.05:  # the margin is never reached
        m = np.linspace(-reach, reach, 4001)
        inside = law.noise_cdf(m) ** (law.V - 1)
        return 1 + reach - float(np.trapezoid(inside, m))
    m = np.linspace(-1 - reach, reach, 6001)
    inside = law.noise_cdf(1 + m) * (1 - law.noise_cdf(m) ** (law.V - 1))
    return float(np.trapezoid(inside, m))


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,): max(0, 1 + M - z_y), M the strongest rival; its rare zero is a factor."""
    s, V = law.noise, law.V
    flat = logit_law.LogitLaw.iid(s, V)
    if s == 0:
        return np.zeros_like(rho)
    cdf, pdf = quadrature.cdf, quadrature.pdf
    m, w = np.linspace(-9.0, 9.0, 1201), 18.0 / 1200
    spare = 1 + s * (m[:, None] - m[None, :])  # (rival, target)
    rival = (V - 1) * cdf(m) ** (V - 2) * pdf(m) * w
    second = float(rival @ np.maximum(spare, 0.0) ** 2 @ (pdf(m) * w))
    exact = max(second - expected(flat) ** 2, 0.0)
    # first order exact; the rest has the shape of two maxima's covariance
    g = _mean_gradient(flat)
    rest = max(exact - s * s * float(g[0] @ g[0]), 0.0)
    shape = rho**2
    if V > 2:
        top = _maximum(V - 1, np.append(rho, 1.0)) - np.append(rho, 1.0) / (V - 1)
        shape = top[:-1] / top[-1]
    kept = y.same + (1 - y.same) * ((V - 2) / (V - 1)) ** 2  # rivals that two targets share
    if not law.exchangeable:
        g = _mean_gradient(law)
    return s * s * rho * y.mean(g @ g.T) + rest * shape * kept


def _maximum(n: int, rho: Array) -> Array:
    """Covariance of the maxima of two rows of n standard normals, correlated by rho in pairs."""
    x = np.linspace(-8.5, 8.5, 341)
    h = x[1] - x[0]
    below = quadrature.cdf(x)
    # first order |E e_argmax|^2 = 1/n; at rho = 1 the variance, with slope 1
    mean = 8.5 - h * float((below**n).sum() - 0.5)
    second = 2 * h * float(((8.5 - x) * below**n).sum()) + h * h / 6
    variance = second - (8.5 - mean) ** 2
    if n == 1:
        return rho.astype(float)
    # E d/dx_i of 1{i is the maximum}: gap density at zero, from two equal leaders
    tie = float((quadrature.pdf(x) ** 2 * below ** (n - 2)).sum() * h)
    curve = n * ((n - 1) * tie) ** 2 + n * (n - 1) * tie**2
    second = min(curve / 2, max(variance - 1 / n, 0.0))
    return logit_pairs.series(rho, 1 / n, second, variance, 1.0)


def _mean_gradient(law: LogitLaw) -> Array:
    """E d loss_y / d z_w (y, w): how often w is y's strongest rival, ignoring the margin's end."""
    m, s = np.asarray(law.mean), law.noise
    x, _ = quadrature.normal_nodes(173)
    g = np.zeros((law.V, law.V))
    for j, lead in enumerate(_leaders(law.normal())):
        g[:, j] = (lead * quadrature.cdf((1 + m[j] + s * x - m[:, None]) / s)).sum(1)
        if law.exchangeable:
            g[:] = g[1, 0]
            break
    np.fill_diagonal(g, 0.0)
    np.fill_diagonal(g, -g.sum(1))
    return g


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The commonest symbol ahead by the margin, or no opinion where that costs less."""
    top = 2 * (1 - float(p.max()))
    return Constant(top, "1 on the commonest symbol, else 0") if top < 1 else Constant(1.0, "0")


SPEC = LossSpec(
    summary="hinge of the strongest rival alone, margin 1",
    kernel=6,
    value=value,
    gradient=gradient,
    multiplier=lambda V, _summed: (V - 1) / V,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    uniform_bias="up to 1.8 times too wide",
    log_probabilities=False,
    unit="margin units",
)
