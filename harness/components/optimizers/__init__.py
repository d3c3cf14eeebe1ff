"""How parameters move: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OptimizerSpec(Spec):
    """One optimizer over stacked parameters, each run with its own learning rate.

    step(param, grad, state, scratch, rate, t, **settings): one step of one parameter of K runs,
    in place, (K, ...). state and scratch are sequences of tensors like param: the former, `slots`
    many, begin at 0 and stay between steps (they are saved in checkpoints); the latter, `buffers`
    many, hold nothing from one call to the next. rate: this step's learning rate, (K, 1, ...),
    schedule included. t: the step's number, from 0. The gradient holds penalties, not decay, and
    is not used again.
    settings: names of the `optim.*` settings it reads (momentum), which come as keyword arguments,
    tensors (K, 1, ...), one value a run. Those of its own in `params` come as plain numbers: runs
    that differ in them are trained apart.
    in_place: the step is param - rate * grad and nothing else. The engine then adds gradients to
    the parameters as they arise, and keeps no buffers for them.
    adaptive: a step's size does not go with the gradient's, as Adam's (see engine.rates).
    lr: the learning rate that choosing it by name alone gives.
    kernel: its number in the kernels (Optimizer in engine/native/update.h), which then reads
    `constants`; None: torch.
    """

    step: Callable[..., None]
    slots: int = 0
    buffers: int = 0
    settings: tuple[str, ...] = ()
    in_place: bool = False
    adaptive: bool = False
    lr: float = 0.1
    kernel: int | None = None
    constants: tuple[float, ...] = ()

    def chosen(self) -> dict[str, Any]:
        """The learning rate, and what else its YAML would set."""
        return {"lr": self.lr, **self.beside}


OPTIMIZERS: Registry[OptimizerSpec] = Registry(
    "optimizer", OptimizerSpec, __name__, configurable=True
)
