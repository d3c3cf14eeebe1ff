"""Binary cross-entropy of one logit against a label of -1 or +1: the logistic loss."""

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
    """log(1 + exp(-y z)), in nats per example; (K, B). 0 or more; ln 2 at z = 0."""
    margin_KB = logits_KB1.squeeze(-1) * target_KB.to(logits_KB1.dtype)
    return -torch.nn.functional.logsigmoid(margin_KB)


def gradient(
    logits_KB1: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """-y / (1 + exp(y z)), (K, B, 1): within [-1, 1], -y/2 at z = 0."""
    y_KB1 = target_KB.to(out.dtype)[..., None]
    torch.mul(logits_KB1, y_KB1, out=out)
    out.exp_().add_(1.0).reciprocal_()  # y z = 1e4: exp is inf, 1/inf is the right 0
    return out.mul_(y_KB1).neg_()


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E log(1 + e^(-y z)), nats per example; ln 2 at z = 0."""
    minus, plus = targets.label_shares(target)
    law = law.simplified()
    cost = logit_means.softplus(np.array([law.mean[0], -law.mean[0]]), law)
    return float(minus * cost[0] + plus * cost[1])


def of_margin(t: Array) -> Array:
    """log(1 + e^-t), t = y z."""
    return np.logaddexp(0.0, -t)


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The log odds, at the labels' entropy."""
    return Constant(targets.entropy(p), "ln p(+1) - ln p(-1)")


SPEC = LossSpec(
    summary="log(1 + exp(-y z))",
    kernel=9,
    value=value,
    gradient=gradient,
    kind="binary",
    multiplier=lambda _V, _summed: 4.0,  # at z = 0: -y/2, where squared error has -2y
    expected=expected,
    of_margin=of_margin,
    best_constant=best_constant,
    likelihood=True,
    unit="nats/example",
)
