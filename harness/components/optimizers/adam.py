"""Adam (Kingma & Ba 2015, arXiv:1412.6980) with its defaults: .9, .999, 1e-8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.optimizers import OptimizerSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def step(
    param: Tensor, grad: Tensor, state: Sequence[Tensor], scratch: Sequence[Tensor],
    rate: Tensor, t: int,
) -> None:  # fmt: skip
    """Moments m and v of the gradient, bias corrected; param -= rate * m / (sqrt(v) + eps)."""
    (m, v), (update,) = state, scratch
    m.mul_(BETA1).add_(grad, alpha=1 - BETA1)
    v.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
    torch.sqrt(v, out=update)
    update.div_(math.sqrt(1 - BETA2 ** (t + 1))).add_(EPS)
    torch.div(m, update, out=update)
    param.addcmul_(update, rate, value=-1.0 / (1 - BETA1 ** (t + 1)))


SPEC = OptimizerSpec(
    step=step, slots=2, buffers=1, adaptive=True, lr=0.001, kernel=2, constants=(BETA1, BETA2, EPS),
    summary="Adam, betas .9 and .999",
)  # fmt: skip
