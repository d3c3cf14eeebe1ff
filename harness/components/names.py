"""Names a config may use, and where the code behind each stands. Imports nothing heavy.

To add a loss, write one function in `harness/engine/losses.py` (or anywhere), add one entry here;
README.md, "Extending", shows a worked example.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def resolve(path: str | Callable[..., Any]) -> Callable[..., Any]:
    """A function, or the one named by "package.module:function" in this file."""
    if callable(path):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class LossEntry:
    """One loss: where its functions are and what the engine must know of it.

    value: (logits_KBV, target_KB, smoothing_K, sum_over_classes) -> (K, B), unreduced.
    gradient: d value / d logits, (K, B, V), same arguments plus out=; None: autograd on the logits.
    expected: mean of the value under a law of the logits (see loss_means); None: none is reported.
    Each is a function or, so that this module stays light, the path "module:function" of one.
    """

    value: str | Callable[..., Any]
    gradient: str | Callable[..., Any] | None
    expected: str | Callable[..., Any] | None
    kind: str = "classes"  # or "binary": one logit, labels -1 and +1
    smoothing: bool = False  # label smoothing has a meaning
    per_class: bool = False  # `reduction` mean|sum over classes has a meaning
    multiplier: Callable[[int, bool], float] = lambda _V, _summed: 1.0
    # ^ gradient matching: times this, every loss has cross-entropy's gradient at equal logits
    doc: str = ""


LOSSES: dict[str, LossEntry] = {
    "cross_entropy": LossEntry(
        value="harness.components.losses.multiclass:cross_entropy",
        gradient="harness.components.losses.multiclass:cross_entropy_gradient",
        expected="harness.theory.initial_loss:expected_cross_entropy",
        smoothing=True,
        doc="-log softmax(z)[target], straight from the logits",
    ),
    "nll": LossEntry(
        value="harness.components.losses.multiclass:nll",
        gradient="harness.components.losses.multiclass:cross_entropy_gradient",
        expected="harness.theory.initial_loss:expected_cross_entropy",
        smoothing=True,
        doc="negative log likelihood of log_softmax(z); agrees with cross_entropy",
    ),
    "mse": LossEntry(
        value="harness.components.losses.multiclass:mse",
        gradient="harness.components.losses.multiclass:mse_gradient",
        expected="harness.theory.initial_loss:expected_mse",
        smoothing=True,
        per_class=True,
        multiplier=lambda V, summed: 0.5 if summed else V / 2,
        doc="squared error of the raw logits against one-hot",
    ),
    "brier": LossEntry(
        value="harness.components.losses.multiclass:brier",
        gradient="harness.components.losses.multiclass:brier_gradient",
        expected="harness.theory.initial_loss:expected_brier",
        smoothing=True,
        per_class=True,
        multiplier=lambda V, summed: V / 2 if summed else V * V / 2,
        doc="squared error of softmax(z) against one-hot",
    ),
    "bce": LossEntry(
        value="harness.components.losses.multiclass:bce",
        gradient="harness.components.losses.multiclass:bce_gradient",
        expected="harness.theory.initial_loss:expected_bce",
        smoothing=True,
        per_class=True,
        multiplier=lambda V, summed: 1.0 if summed else float(V),
        doc="binary cross-entropy, one class against the rest",
    ),
    "hinge": LossEntry(
        value="harness.components.losses.multiclass:hinge",
        gradient="harness.components.losses.multiclass:hinge_gradient",
        expected="harness.theory.initial_loss:expected_hinge",
        per_class=True,
        multiplier=lambda V, summed: 1.0 / V if summed else 1.0,
        doc="Weston-Watkins multi-class hinge, margin 1 (torch's multi_margin_loss)",
    ),
    "crammer_singer": LossEntry(
        value="harness.components.losses.multiclass:crammer_singer",
        gradient="harness.components.losses.multiclass:crammer_singer_gradient",
        expected="harness.theory.initial_loss:expected_crammer_singer",
        multiplier=lambda V, _summed: (V - 1) / V,
        doc="hinge of the strongest rival alone, margin 1",
    ),
    "squared_error": LossEntry(
        value="harness.components.losses.binary:squared_error",
        gradient="harness.components.losses.binary:squared_error_gradient",
        expected="harness.theory.initial_loss:expected_squared_error",
        kind="binary",
        doc="(z - y)^2 with y = -1 or +1",
    ),
    "binary_cross_entropy": LossEntry(
        value="harness.components.losses.binary:binary_cross_entropy",
        gradient="harness.components.losses.binary:binary_cross_entropy_gradient",
        expected="harness.theory.initial_loss:expected_binary_cross_entropy",
        kind="binary",
        multiplier=lambda _V, _summed: 4.0,
        doc="log(1 + exp(-y z))",
    ),
    "max_margin": LossEntry(
        value="harness.components.losses.binary:max_margin",
        gradient="harness.components.losses.binary:max_margin_gradient",
        expected="harness.theory.initial_loss:expected_max_margin",
        kind="binary",
        multiplier=lambda _V, _summed: 2.0,
        doc="max(0, 1 - y z)",
    ),
}
# binary multipliers: at z = 0 the gradients are -2y, -y/2 and -y; squared_error is the yardstick

SCHEMES = ("kaiming", "normal", "uniform", "xavier", "orthogonal", "zero")
SCOPES = ("linear", "all", "hidden", "output", "embedding")
BIASES = ("zero", "normal", "uniform", "constant")
OUTPUT_BIASES = (*BIASES, "log_unigram")
REGULARIZERS = ("none", "l2", "l2_sum", "l1", "weight_decay", "dropout", "max_norm")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("step", "constant", "cosine")
SOURCES = ("census", "surnames", "makemore", "file", "markov", "points", "moons")
BINARY_SOURCES = ("points", "moons")


def expectation(loss: str) -> Callable[..., Any]:
    """The function that gives a loss's mean under a law of the logits; LookupError without one."""
    found = LOSSES[loss].expected
    if found is None:
        raise LookupError(f"no expectation is registered for the loss {loss}")
    return resolve(found)
