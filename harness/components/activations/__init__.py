"""Nonlinearities of the hidden layers: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationSpec(Spec):
    """One activation, as the engine, theory and a plain module see it.

    forward: (pre, out=) -> post, torch, in place of `out`. backward: (grad, pre, post) in place of
    grad, torch; None: autograd of forward. gain: of the layer before it under kaiming and
    orthogonal. value, slope: the same function and its derivative in numpy; None: nothing is
    expected of the start. saturated, dead: (pre, post) -> share of units, for diagnostics; None:
    it cannot saturate, or die. module: () -> torch.nn.Module for the network taken away. kernel:
    its code in the native kernel; None: it has none there.
    """

    forward: Callable[..., Tensor]
    backward: Callable[..., Tensor] | None = None
    gain: float = 1.0
    value: Callable[[Array], Array] | None = None
    slope: Callable[[Array], Array] | None = None
    saturated: Callable[..., Tensor] | None = None
    dead: Callable[..., Tensor] | None = None
    module: Callable[..., object] | None = None
    kernel: int | None = None


ACTIVATIONS: Registry[ActivationSpec] = Registry("activation", ActivationSpec, __name__)
