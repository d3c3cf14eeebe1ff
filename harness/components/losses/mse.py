"""Squared error of the raw logits against the one-hot target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec
from harness.components.onehot import minus_target, over_classes, subtract_target

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Squared error of the raw logits: mean (or sum) over v of (z[v] - t[v])^2; (K, B).

    No unit; 0 or more. At z = 0: 1/V (sum 1). It is least where z = t, so the logits learn
    probabilities themselves, and their softmax is no estimate of anything.
    """
    return over_classes(minus_target(logits_KBV, target_KB, smoothing_K).square(), summed)


def gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2 (z - t) / V, or 2 (z - t) when summed; (K, B, V), without limit."""
    scale = 2.0 if summed else 2.0 / out.shape[-1]
    torch.mul(logits_KBV, scale, out=out)
    return subtract_target(out, target_KB, smoothing_K, scale)


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v (z_v - t_v)^2 over V: s^2 + 1/V for i.i.d. logits of mean 0 (sum V s^2 + 1)."""
    m, t = np.asarray(law.mean), targets.target_shares(target, law.V, smoothing)
    square = targets.target_square(law.V, smoothing)
    total = law.V * law.noise**2 + float(m @ m) - 2 * float(m @ t) + square
    return total if summed else total / law.V


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,): 2 k^2 and the fourth cumulant a class, and 4 k (mean - t).(mean - t')."""
    k = law.noise**2 * rho
    m = np.asarray(law.mean)
    fourth = -2 / 15 * law.half_width**4
    apart = float(m @ m) - 2 * y.marginal(a) @ m + y.overlap(a)
    return law.V * np.maximum(2 * k * k + fourth, 0.0) + 4 * k * apart


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """p itself; what remains is the spread of the targets around it."""
    return Constant(targets.spread_around(p, smoothing, summed=summed), "p")


SPEC = LossSpec(
    summary="squared error of the raw logits against one-hot",
    kernel=2,
    value=value,
    gradient=gradient,
    smoothing=True,
    per_class=True,
    multiplier=lambda V, summed: 0.5 if summed else V / 2,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    log_probabilities=False,
    links=("softmax", "clip"),
    unit="squared error",
)
