"""Losses: one module each, with value and gradient in torch and what the first value must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Array = npt.NDArray[np.float64]


LINKS = ("softmax", "clip", "sigmoid")  # readings of the logits; see engine.calibration


class Constant(NamedTuple):
    """The lowest loss that constant logits can have, and those logits in words."""

    loss: float  # in the loss's own units
    bias: str  # as a formula in the training shares p, such as "ln p"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LossSpec(Spec):
    """One loss, as the engine, theory, calibration and the figures see it.

    Axes: K runs, B examples, V classes, M pairs of examples. Only `value` is required.

    value: (logits_KBV, target_KB, smoothing_K=None, summed=False) -> (K, B), torch, unreduced.
    Targets are int64 class codes, or -1 and +1 where `kind` is "binary" (then V = 1). smoothing_K
    is each run's label smoothing, None where no run smooths; summed: sum over classes, not mean.
    gradient: the same arguments and out= (K, B, V) -> d value / d logits, written into out; None:
    autograd on the logits.
    smoothing: label smoothing has a meaning. per_class: `loss.reduction` has a meaning.
    multiplier: (V, summed) -> factor by which gradient matching gives every loss the gradient of
    cross-entropy at equal logits (of squared error, among the binary ones).

    expected: (law, target, *, smoothing=0.0, summed=False) -> mean of the value when the logits
    follow a numerics.logit_law.LogitLaw and targets are drawn with the shares `target` (V,), None
    for equal ones; binary: (share of -1, share of +1). None: no initial loss is expected, no z.
    spread: (law, rho_M, targets, smoothing) -> (M,) covariance of two examples' values, classes
    summed, when their logits correlate by rho; `targets` is a numerics.logit_pairs.Meeting. None:
    no sd, no z.
    of_margin: binary alone, instead of `spread`: the value as a numpy function of y z.
    best_constant: (shares (V,), *, smoothing, summed) -> Constant; None: no smart start is given.
    uniform_bias: how far `spread` is off under a uniform output bias, in words; "": it is not.

    likelihood: the value is the negative log likelihood of softmax(logits), or of sigmoid(logit).
    log_probabilities: softmax of the logits is the run's own estimate, so its NLL needs no
    calibration first. links: readings of the logits that calibration tries, of LINKS.
    columns: binary alone, (logits (C,)) -> (C, 2) scores of -1 and +1; None: -z/2 and z/2.
    unit: of the value, "" where it has none. label: its name in figures, "" for the name itself.
    kernel: its number in the kernels (Loss in engine/native/losses.h); None: torch gives the
    gradient and the value. Kernels are for built-in components: a plug-in's number counts for none.
    """

    value: Callable[..., Tensor]
    gradient: Callable[..., Tensor] | None = None
    kind: Literal["classes", "binary"] = "classes"
    smoothing: bool = False
    per_class: bool = False
    multiplier: Callable[..., float] = lambda _V, _summed: 1.0
    expected: Callable[..., float] | None = None
    spread: Callable[..., Array] | None = None
    of_margin: Callable[..., Array] | None = None
    best_constant: Callable[..., Constant] | None = None
    uniform_bias: str = ""
    likelihood: bool = False
    log_probabilities: bool = True
    links: tuple[str, ...] = ("softmax",)
    columns: Callable[..., Array] | None = None
    unit: str = ""
    label: str = ""
    kernel: int | None = None


LOSSES: Registry[LossSpec] = Registry("loss", LossSpec, __name__, configurable=True)
