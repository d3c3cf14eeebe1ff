"""What holds the weights back: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class PenaltySpec(Spec):
    """One regularizer. Axes of w: K runs first, then the parameter's own.

    stage: where in a step it acts. "none": nowhere. "gradient": its gradient joins that of the
    loss. "decoupled": it shrinks the parameters beside the gradient. "constraint": it projects the
    parameters after the update. "activation": it acts in the forward pass (dropout).
    value: (w) -> the penalty of one run's parameter at strength 1; None: it is no part of the
    objective. gradient: (w_K..., strength_K) -> d penalty / d w. quadratic: (entries of the
    parameter) -> c where the gradient is strength * c * w, so that it may be taken as a shrink.
    shrink: (strength_K, rate_K) -> factor on the parameters, for "decoupled". project:
    (w_K..., strength_K) -> in place, for "constraint". below: strengths from here on are refused.
    default: the strength that conf/reg gives. everywhere: `reg.scope=all` reaches embedding and
    biases too.
    """

    stage: Literal["none", "gradient", "decoupled", "constraint", "activation"]
    value: Callable[..., Tensor] | None = None
    gradient: Callable[..., Tensor] | None = None
    quadratic: Callable[..., float] | None = None
    shrink: Callable[..., Tensor] | None = None
    project: Callable[..., None] | None = None
    below: float | None = None
    default: float = 0.0
    everywhere: bool = True


PENALTIES: Registry[PenaltySpec] = Registry("regularizer", PenaltySpec, __name__)
