"""GELU: x Phi(x), exact (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.components.activations import ActivationSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import torch
    from scipy import special
    from torch import Tensor
else:
    special, torch = lazy("scipy.special"), lazy("torch")

OFF = -3.0  # below it the slope is at most .012 in size


def forward(pre: Tensor, out: Tensor) -> None:
    """pre Phi(pre)."""
    torch.ops.aten.gelu.out(pre, out=out)


def backward(d: Tensor, pre: Tensor, h: Tensor) -> None:
    """d times Phi(pre) + pre times the normal density."""
    torch.ops.aten.gelu_backward.grad_input(d, pre, grad_input=d)


SPEC = ActivationSpec(
    function=lambda x: torch.nn.functional.gelu(x),
    array=lambda x: x * special.ndtr(x),
    gain=math.sqrt(2),  # as for ReLU; 1 / sqrt(E gelu^2) would be 1.53
    saturated=lambda _h, x: x < OFF,
    module="GELU",
    forward=forward,
    backward=backward,
    kernel=3,
    summary="x Phi(x), the exact form; gain sqrt(2)",
)
