"""Max margin: the hinge of one logit against a label of -1 or +1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import logit_means, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")
    logit_means = lazy("harness.numerics.logit_means")
# ruff: noqa: ARG001  (one signature for all losses)


def value(
    logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """max(0, 1 - y z); (K, B). In logit units; 0 or more; 1 at z = 0."""
    return (1 - logits_KB1.squeeze(-1) * target_KB.to(logits_KB1.dtype)).relu()


def gradient(
    logits_KB1: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """-y while y z < 1, else 0 (exactly at the margin too); (K, B, 1)."""
    y_KB1 = target_KB.to(out.dtype)[..., None]
    torch.mul(logits_KB1, y_KB1, out=out)
    return out.lt_(1.0).mul_(y_KB1).neg_()


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E max(0, 1 - y z): Phi(1/s) + s phi(1/s) for logits of mean 0."""
    minus, plus = targets.label_shares(target)
    law = law.simplified()
    cost = logit_means.positive_part(np.array([1 + law.mean[0], 1 - law.mean[0]]), law)
    return float(minus * cost[0] + plus * cost[1])


def of_margin(t: Array) -> Array:
    """max(0, 1 - t), t = y z."""
    return np.maximum(0.0, 1 - t)


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The commoner label, by a margin of one."""
    return Constant(2 * float(p.min()), "the commoner label")


SPEC = LossSpec(
    summary="max(0, 1 - y z)",
    kernel=10,
    value=value,
    gradient=gradient,
    kind="binary",
    multiplier=lambda _V, _summed: 2.0,  # at z = 0: -y, where squared error has -2y
    expected=expected,
    of_margin=of_margin,
    best_constant=best_constant,
    log_probabilities=False,
    unit="margin units",
)
