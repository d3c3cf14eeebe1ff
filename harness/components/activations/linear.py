"""The identity: a network of hidden layers that is linear all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.activations import ActivationSpec

if TYPE_CHECKING:
    from torch import Tensor


def forward(pre: Tensor, out: Tensor) -> None:
    """Nothing: `out` is `pre`."""


def backward(d: Tensor, pre: Tensor, h: Tensor) -> None:
    """Nothing: the slope is 1."""


SPEC = ActivationSpec(
    function=lambda x: x,
    array=lambda x: x,
    module="Identity",
    forward=forward,
    backward=backward,
    keeps_pre=False,
    kernel=0,
    summary="x itself: hidden layers without a nonlinearity; gain 1",
)
