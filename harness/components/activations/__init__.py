"""Nonlinearities of the hidden layers: one file each, with the facts that go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.components.lazy import lazy
from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Array = NDArray[np.float64]
else:
    np, torch = lazy("numpy"), lazy("torch")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ActivationSpec(Spec):
    """An elementwise nonlinearity phi. Only `function` is required.

    function(x) -> Tensor: phi in torch, any shape; autograd must go through it.
    array(x) -> Array: the same in numpy, float64, for the theory of the start; None: `function` on
    a float64 tensor.
    gain: what `init.scheme` multiplies the standard deviation by in the layer before it, so that
    the spread is kept (sqrt(2) for ReLU: He et al. 2015, arXiv:1502.01852); 1 where none is known.
    saturated(h, x) -> mask of units that pass almost no gradient, h = phi(x), on tensors and arrays
    alike; None where no unit can saturate (`init/saturated`, `init/dead`, `act/saturated`). It may
    read x only where `keeps_pre`.
    fault: how a unit so saturated is called in advice, where many of them at the start are a
    fault; "" where that is ordinary (half of all ReLUs are off).
    module() -> nn.Module for a network to take away; or the name of a class of torch.nn, which
    also lets MLflow serve the model without this package. None: a module around `function`.

    The engine's own form, on buffers, where there is a faster one than autograd:
    scale: what the preactivation is multiplied by in the matrix product before `forward`.
    forward(pre, out): phi(pre / scale) into `out`, which is `pre` itself unless `keeps_pre`.
    backward(d, pre, h): multiplies d by phi' in place; pre as `forward` saw it, h what it gave.
    kernel: its number in the kernels (Activation in engine/native/network.h); None: torch.
    """

    function: Callable[[Tensor], Tensor]
    array: Callable[[Array], Array] | None = None
    gain: float = 1.0
    saturated: Callable[[Any, Any], Any] | None = None
    fault: str = ""
    module: str | Callable[[], nn.Module] | None = None
    scale: float = 1.0
    forward: Callable[[Tensor, Tensor], None] | None = None
    backward: Callable[[Tensor, Tensor, Tensor], None] | None = None
    keeps_pre: bool = True
    kernel: int | None = None

    @property
    def shut_at_zero(self) -> bool:
        """Whether a unit at exactly 0 is saturated, so that nothing ever moves it from there."""
        zero = np.zeros(1)
        return self.saturated is not None and bool(self.saturated(zero, zero).any())

    def apply(self, pre: Tensor, out: Tensor) -> None:
        """phi(pre / scale) into `out`."""
        if self.forward is not None:
            self.forward(pre, out)
        else:
            out.copy_(self.function(pre / self.scale if self.scale != 1.0 else pre))

    def differentiate(self, d: Tensor, pre: Tensor, h: Tensor) -> None:
        """Multiply `d` by phi'(pre / scale), in place; by autograd where there is no formula."""
        if self.backward is not None:
            self.backward(d, pre, h)
            return
        with torch.enable_grad():
            x = (pre / self.scale).detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.function(x).sum(), x)
        d.mul_(slope)

    def flags(self, h: Tensor, pre: Tensor) -> Tensor | None:
        """Mask of saturated units of a pass, of h's shape; None where none can saturate."""
        if self.saturated is None:
            return None
        mask: Tensor = self.saturated(h, pre / self.scale if self.scale != 1.0 else pre)
        return mask

    def values(self, x: Array) -> Array:
        """phi of an array, float64."""
        if self.array is not None:
            return self.array(x)
        with torch.no_grad():
            out: Array = self.function(torch.from_numpy(np.ascontiguousarray(x))).numpy()
        return out

    def build(self) -> nn.Module:
        """A module that applies phi."""
        if isinstance(self.module, str):
            made: nn.Module = getattr(torch.nn, self.module)()
            return made
        return self.module() if self.module is not None else wrapped(self.function)


def wrapped(function: Callable[[Tensor], Tensor]) -> nn.Module:
    """A function as a module."""

    class Elementwise(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    return Elementwise()


ACTIVATIONS: Registry[ActivationSpec] = Registry("activation", ActivationSpec, __name__)
