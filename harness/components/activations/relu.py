"""ReLU: max(0, x)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.components.activations import ActivationSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
else:
    np, torch = lazy("numpy"), lazy("torch")


def forward(pre: Tensor, out: Tensor) -> None:
    """max(0, pre)."""
    torch.clamp_min(pre, 0.0, out=out)


def backward(d: Tensor, pre: Tensor, h: Tensor) -> None:
    """d where h > 0, else 0."""
    torch.ops.aten.threshold_backward.grad_input(d, h, 0.0, grad_input=d)


SPEC = ActivationSpec(
    function=lambda x: torch.relu(x),
    array=lambda x: np.maximum(x, 0.0),
    gain=math.sqrt(2),  # He et al. 2015, arXiv:1502.01852
    saturated=lambda h, _x: h <= 0,
    module="ReLU",
    forward=forward,
    backward=backward,
    keeps_pre=False,
    kernel=2,
    summary="max(0, x); gain sqrt(2)",
)
