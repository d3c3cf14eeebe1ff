"""How parameters move: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimizerSpec(Spec):
    """One optimizer over stacked parameters, each run with its own rate.

    slots: tensors of state a parameter, each like it and zero at first. step: (param, grad,
    slots, rate_K..., step) in place, with the scratch tensor it asks for. scratch: it needs one.
    in_place: the update is param - rate * gradient exactly, so gradients may be added into the
    parameters without buffers of their own. uses_momentum: `optim.momentum` has a meaning.
    """

    step: Callable[..., None] | None = None
    slots: int = 0
    scratch: bool = False
    in_place: bool = False
    uses_momentum: bool = False


OPTIMIZERS: Registry[OptimizerSpec] = Registry("optimizer", OptimizerSpec, __name__)
