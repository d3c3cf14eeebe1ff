"""Losses on one logit and a label y of -1 or +1, for the sources `points` and `moons`.

Arguments as in losses.py with V = 1: logits (K, B, 1), target (K, B) of -1 and +1 in any
number type; smoothing and `summed` have no meaning here and are ignored. Values are (K, B),
gradients are written into `out` (K, B, 1). The same two rules hold: finite float32 numbers at
+-1e4, and rows that do not depend on their place in the stack.
"""
# ruff: noqa: ARG001  (one signature for all losses, so that the engine need not tell them apart)

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def squared_error(
    logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """(z - y)^2; (K, B). No unit; 0 or more; 1 at z = 0, 4 at the wrong label."""
    return (logits_KB1.squeeze(-1) - target_KB.to(logits_KB1.dtype)).square()


def squared_error_gradient(
    logits_KB1: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2 (z - y), (K, B, 1)."""
    return torch.sub(logits_KB1, target_KB.to(out.dtype)[..., None], out=out).mul_(2.0)


def binary_cross_entropy(
    logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """log(1 + exp(-y z)), in nats per example; (K, B). 0 or more; ln 2 at z = 0."""
    return -logsigmoid(logits_KB1.squeeze(-1) * target_KB.to(logits_KB1.dtype))


def binary_cross_entropy_gradient(
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


def max_margin(
    logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """max(0, 1 - y z); (K, B). In logit units; 0 or more; 1 at z = 0."""
    return (1 - logits_KB1.squeeze(-1) * target_KB.to(logits_KB1.dtype)).relu()


def max_margin_gradient(
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
