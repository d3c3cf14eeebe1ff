"""Heavy ball (Polyak 1964), as torch.optim.SGD(momentum=m): v = m v + gradient; w -= rate * v."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.components.optimizers import OptimizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def step(  # noqa: PLR0913  an optimizer takes each of its settings by name
    param: Tensor, grad: Tensor, state: Sequence[Tensor], scratch: Sequence[Tensor],
    rate: Tensor, t: int, *, momentum: Tensor,
) -> None:  # fmt: skip
    """v = momentum * v + grad; param -= rate * v."""
    (velocity,) = state
    velocity.mul_(momentum).add_(grad)
    param.addcmul_(velocity, rate, value=-1.0)


SPEC = OptimizerSpec(
    step=step, slots=1, settings=("momentum",), beside={"momentum": 0.9}, kernel=1,
    summary="heavy ball: reads optim.momentum",
)  # fmt: skip
