"""Squentropy: cross-entropy plus the mean, over the wrong classes, of the squared logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec, cross_entropy

if TYPE_CHECKING:
    import numpy as np
    from scipy import special
    from torch import Tensor

    from harness.numerics import logit_law, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, special = lazy("numpy"), lazy("scipy.special")
    logit_law, targets = lazy("harness.numerics.logit_law"), lazy("harness.numerics.targets")
# ruff: noqa: ARG001  (one signature for all losses)


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """-log softmax(z)[target] + mean over v != target of z[v]^2; (K, B), unreduced.

    0 or more, ln V at z = 0. Not shift-invariant: wrong classes are drawn to logits of 0. Ignores
    smoothing and `summed`. Source: Hui, Belkin & Wright 2023, arXiv:2302.03952.
    """
    wrong_KBV = logits_KBV.scatter(-1, target_KB[..., None], 0.0)
    square_KB = wrong_KBV.square().sum(-1) / (logits_KBV.shape[-1] - 1)
    return cross_entropy.value(logits_KBV, target_KB) + square_KB


def gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """softmax(z) - onehot, and 2 z / (V - 1) for the wrong classes; (K, B, V), without limit."""
    cross_entropy.gradient(logits_KBV, target_KB, out=out)
    wrong_KBV = logits_KBV.scatter(-1, target_KB[..., None], 0.0)
    return out.add_(wrong_KBV, alpha=2.0 / (logits_KBV.shape[-1] - 1))


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """Cross-entropy's expectation, and sum_v (1 - t_v) (mean_v^2 + s^2) / (V - 1).

    The second part is s^2 for i.i.d. logits of mean 0, whatever the targets are.
    """
    m, t = np.asarray(law.mean), targets.target_shares(target, law.V)
    square = float((1 - t) @ (m * m + law.noise**2)) / (law.V - 1)
    return cross_entropy.expected(law, target) + square


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,) of A + Q, A the cross-entropy and Q the squares; k = s^2 rho.

    By Stein's lemma cov(f(z), z'_j^2) = 2 m_j k E d_j f + k^2 E d_jj f, exact for normal logits:
    cov(A, Q') has d_j A = p_j - 1{j = y}, d_jj A = p_j - p_j^2; cov(z_j^2, z'_j^2) = 4 m_j^2 k +
    2 k^2, less the fourth cumulant of a uniform part. Q leaves out its own target, Q' its own.
    """
    k, V, m = law.noise**2 * rho, law.V, np.asarray(law.mean)
    p, p2 = logit_law.probabilities(law), logit_law.squares(law)
    u = y.marginal(0.0)
    slope, bend = 2 * m * p, p - p2
    apart = y.mean((m[:, None] + m) * (1 - np.eye(V)))  # E (m_y + m_y') where y differs from y'
    mixed = k * (slope.sum() - u @ slope) + k * k * (bend.sum() - u @ bend) - k * apart
    each = np.maximum(2 * k * k - 2 / 15 * law.half_width**4, 0.0)
    lean = 4 * m * m
    own = k * (lean.sum() - 2 * u @ lean + y.mean(np.diag(lean))) + each * (V - 2 + y.same)
    return cross_entropy.spread(law, rho, y, 0.0) + 2 * mixed / (V - 1) + own / (V - 1) ** 2


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The least of log sum e^z - p.z + sum (1 - p) z^2 / (V - 1): convex, by damped Newton steps.

    Near ln p less its level, drawn towards 0; no closed form.
    """
    weight = (1 - p) / (len(p) - 1)

    def cost(z: Array) -> float:
        return float(special.logsumexp(z) - p @ z + weight @ z**2)

    z = np.zeros(len(p))
    for _ in range(100):
        q = special.softmax(z)
        slope = q - p + 2 * weight * z
        curve = np.diag(q + 2 * weight) - np.outer(q, q)
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        if float(slope @ step) < 1e-14:
            break
        while cost(z - step) > cost(z):
            step /= 2
        z = z - step
    return Constant(cost(z), "ln p drawn towards 0")


SPEC = LossSpec(
    summary="cross-entropy plus the mean square of the wrong classes' logits",
    kernel=7,
    value=value,
    gradient=gradient,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    uniform_bias="up to half too wide",
)
