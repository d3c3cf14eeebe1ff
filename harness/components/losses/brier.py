"""Brier's score: squared error of softmax(z) against the one-hot target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec
from harness.components.onehot import minus_target, over_classes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import logit_law, logit_pairs, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch = lazy("numpy"), lazy("torch")
    logit_law = lazy("harness.numerics.logit_law")
    logit_pairs = lazy("harness.numerics.logit_pairs")
    targets = lazy("harness.numerics.targets")


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Squared error of p = softmax(z): mean (or sum) over v of (p[v] - t[v])^2; (K, B).

    No unit. The sum is Brier's score (Brier 1950) and lies in [0, 2]; at equal logits it is
    1 - 1/V. Shift-invariant. Where p is certain, right or wrong, the gradient vanishes.
    """
    p_KBV = torch.softmax(logits_KBV, -1)
    return over_classes(minus_target(p_KBV, target_KB, smoothing_K).square(), summed)


def gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2c p (p - t - sum_v p[v] (p[v] - t[v])), c = 1/V or 1 when summed; (K, B, V).

    The uniform part a/V of t cancels between the two terms: smoothing only weakens the onehot.
    """
    scale = 2.0 if summed else 2.0 / out.shape[-1]
    torch.softmax(logits_KBV, -1, out=out)
    own_KB1 = out.gather(-1, target_KB[..., None])
    pull_K11 = None if smoothing_K is None else (1 - smoothing_K.to(out.dtype))[:, None, None]
    if pull_K11 is not None:
        own_KB1.mul_(pull_K11)
    factor_KBV = out - (out.square().sum(-1, keepdim=True) - own_KB1)
    share = out.new_ones(()) if pull_K11 is None else pull_K11
    factor_KBV.scatter_add_(-1, target_KB[..., None], share.neg().expand(own_KB1.shape))
    return out.mul_(factor_KBV.mul_(scale))


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v (p_v - t_v)^2 over V, p = softmax(z): from (1 - 1/V)/V towards (2 - 2/V)/V.

    E sum p^2 = 1 - F'(s)/s for i.i.d. normal logits, with F the expected cross-entropy.
    """
    t = targets.target_shares(target, law.V, smoothing)
    square = targets.target_square(law.V, smoothing)
    total = float(logit_law.squares(law).sum() - 2 * t @ logit_law.probabilities(law)) + square
    return total if summed else total / law.V


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,) of sum p^2 - 2 t.p, for classes alike; differing means to first order."""
    k, V = law.noise**2, law.V
    flat = logit_law.LogitLaw.iid(law.noise, V)
    if k == 0:
        return np.zeros_like(rho)
    overlap = y.overlap(a) - 1 / V
    p2 = V * float(logit_law.squares(flat)[0])
    # sum_v cov(p_v, p'_v) is the slope of the log-sum-exp series, term by term
    step = 1e-4
    near = np.clip(rho, -1.0, 1.0 - step)
    series = logit_pairs.log_sum_exp_series
    rise = (series(flat, near + step) - series(flat, near)) / (step * k)
    between = np.maximum(rise, 1 / V) - 1 / V
    own = 4 * between * overlap / (V - 1)
    out = own + _sum_of_squares(flat, rho)
    if not law.exchangeable:  # replace the first-order part by the exact one
        out = out - 4 * k * rho * overlap * ((1 - p2) / (V - 1)) ** 2
        g = _mean_gradient(law.normal(), a)
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
        return logit_law.power_moment(law, powers) if len(powers) <= V else 0.0

    s1, s2, p3 = V * m(2), V * m(4) + two * m(2, 2), V * m(3)
    s3 = V * m(6) + 3 * two * m(4, 2) + three * m(2, 2, 2)
    bend = 2 * s1 - 8 * p3 + 6 * s2
    steep = V * m(4) - 2 * (V * m(5) + two * m(3, 2)) + s3
    total = max(s2 - s1 * s1, 0.0)
    second = min(k * k / 2 * bend**2 / (V - 1), total)
    return logit_pairs.series(rho, 0.0, second, total, max(4 * k * steep, 2 * second))


def _mean_gradient(law: LogitLaw, a: float) -> Array:
    """E d(sum p^2 - 2 p_y)/d z_w (y, w)."""
    q = logit_law.products(law)
    p, p2 = logit_law.probabilities(law), logit_law.squares(law)
    # d sum p^2 / d z_w = 2 p_w (p_w - sum p^2); its last factor by its mean
    common = 2 * (p2 - p * p2.sum())
    common -= common.mean()
    curve = -q
    np.fill_diagonal(curve, p - p2)
    out: Array = common - 2 * (1 - a) * curve
    return out


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """ln p; what remains is the spread of the targets around p."""
    return Constant(targets.spread_around(p, smoothing, summed=summed), "ln p")


SPEC = LossSpec(
    summary="squared error of softmax(z) against one-hot",
    kernel=3,
    value=value,
    gradient=gradient,
    smoothing=True,
    per_class=True,
    multiplier=lambda V, summed: V / 2 if summed else V * V / 2,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    uniform_bias="up to 3.5 times too wide",
    unit="squared error",
)
