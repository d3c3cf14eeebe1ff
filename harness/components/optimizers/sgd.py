"""Plain gradient descent on batches: w -= rate * gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.components.optimizers import OptimizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def step(
    param: Tensor, grad: Tensor, state: Sequence[Tensor], scratch: Sequence[Tensor],
    rate: Tensor, t: int,
) -> None:  # fmt: skip
    """param -= rate * grad."""
    param.addcmul_(grad, rate, value=-1.0)


SPEC = OptimizerSpec(step=step, in_place=True, kernel=0, summary="w -= rate * gradient")
