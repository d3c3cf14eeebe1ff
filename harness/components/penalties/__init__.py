"""Regularizers: what holds the weights back, one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.components.lazy import lazy
from harness.components.params import Param
from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")

Stage = Literal["none", "gradient", "decoupled", "constraint", "activation"]
STRENGTH = Param(default=0.01, low=0.0, high=1e6)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PenaltySpec(Spec):
    """One regularizer, at strength 1; each run's `reg.strength` multiplies it.

    Axes: K runs that have it, I fan-in, O fan-out, B batch rows. A parameter is a weight matrix
    (K, I, O) or, under `reg.scope=all`, also a bias (K, O) or the embedding (K, V, D).

    stage: where in a step it acts, and what it must then have:
    "gradient": added to the objective. value(w), or value and a gradient.
    "decoupled": the parameters shrink beside the gradient, by rate * strength a step. shrink.
    "constraint": the parameters are projected after the update. project.
    "activation": the hidden activations of training are multiplied by noise. mask.
    "none": nothing.

    value(w) -> Tensor (): the penalty of one run's parameter, which enters the objective and the
    metric `penalty`. shrink(size) -> c, where the gradient is c * w, size the parameter's count of
    numbers; gradient(w_K...) -> Tensor of w's shape, for any other, elementwise in w. With neither,
    autograd through `value`, run by run.
    project(w_K..., limit_K...): in place; limit is the strength.
    mask(uniform_KBO, p_K11) -> Tensor (K, B, O): multiplier of each hidden unit from uniform
    numbers of [0, 1), never negative; p is the strength.

    strength: range of `reg.strength`, and the default that choosing it by name alone gives.
    linear_only: it leaves embedding and biases alone whatever `reg.scope` is.
    keeps_zeros: gradient and project leave entries of 0 at 0 whatever is around them, so that the
    engine may hand over its own storage, padded with zeros, instead of a view of the real block.
    kernel: what the kernels do in place of a built-in one: 1: add the sign of w; 2: cap the norm of
    a unit's incoming weights; 3: dropout. None: torch, but for what only shrinks, which they do.
    """

    stage: Stage = "gradient"
    value: Callable[[Tensor], Tensor] | None = None
    shrink: Callable[[int], float] | None = None
    gradient: Callable[[Tensor], Tensor] | None = None
    project: Callable[[Tensor, Tensor], None] | None = None
    mask: Callable[[Tensor, Tensor], Tensor] | None = None
    strength: Param = STRENGTH
    linear_only: bool = False
    keeps_zeros: bool = False
    kernel: int | None = None

    def chosen(self) -> dict[str, Any]:
        """The strength, and what else its YAML would set."""
        return {"strength": self.strength.default, **self.beside}

    @property
    def sloped(self) -> bool:
        """Whether it adds a gradient that is not a multiple of the weights."""
        return self.stage == "gradient" and self.shrink is None

    def slope(self, w: Tensor) -> Tensor:
        """d value / d w of every run, (K, ...); by formula, or by autograd run by run."""
        if self.gradient is not None:
            return self.gradient(w)
        assert self.value is not None
        out = torch.empty_like(w)
        for own, into in zip(w, out, strict=True):
            with torch.enable_grad():
                x = own.detach().requires_grad_()
                (found,) = torch.autograd.grad(self.value(x), x)
            into.copy_(found)
        return out


PENALTIES: Registry[PenaltySpec] = Registry("regularizer", PenaltySpec, __name__, configurable=True)
