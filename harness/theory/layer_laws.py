"""What the init.* settings mean: the law from which each layer's numbers are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES, BiasLaw

if TYPE_CHECKING:
    from harness.config.groups import Init, Model
    from harness.config.run import ResolvedInit
    from harness.theory.overlap import Facts

BATCH_NORM_EPS = 1e-5


class NotCovered(Exception):  # noqa: N818  no error: there is no theory to give
    """A component whose law is not known; the message names it."""


@dataclass(frozen=True)
class Layer:
    """One linear layer's draw."""

    name: str
    fan_in: int
    fan_out: int
    weight: float  # standard deviation of an entry
    orthogonal: bool
    bias: BiasLaw


def embedding_std(init: Init) -> float:
    """Standard deviation of an embedding entry."""
    reached = init.scope in ("all", "embedding")
    return init.spec.embedding_std * init.embed_scale * (init.weight_scale if reached else 1.0)


def layers(model: Model, init: ResolvedInit, facts: Facts) -> tuple[Layer, ...]:
    """Every linear layer's law, input to output, from the meaning of the init.* settings.

    NotCovered where a component does not know its own.
    """
    inputs = facts.block if facts.kind == "binary" else facts.block * model.n_embd
    widths = [inputs, *model.hidden, facts.V]
    scheme = init.spec
    if scheme.std is None:
        raise NotCovered(f"init.scheme={init.scheme} says no standard deviation of what it draws")
    out = []
    for i in range(len(widths) - 1):
        fan_in, fan_out, last = widths[i], widths[i + 1], i == len(widths) - 2
        gain = 1.0 if last else ACTIVATIONS.get(model.activation).gain
        weight = scheme.std(fan_in, fan_out, gain)
        scope = ("linear", "all", "output") if last else ("linear", "all", "hidden")
        weight *= init.weight_scale if init.scope in scope else 1.0
        weight *= init.output_scale if last else 1.0
        bias = BiasLaw()
        if model.batch_norm and not last:  # no bias before it; running statistics 0 and 1
            weight = weight / math.sqrt(1 + BATCH_NORM_EPS)
        else:
            bias = bias_law(init.output_bias if last else init.bias, init)
        name = "output" if last else f"hidden.{i}"
        out.append(Layer(name, fan_in, fan_out, weight, scheme.orthogonal, bias))
    return tuple(out)


def bias_law(name: str, init: Init) -> BiasLaw:
    """The law of one bias; that of a vector which follows from the data has no spread."""
    spec = BIASES.get(name)
    if spec.law is not None:
        return spec.law(init.bias_scale)
    if spec.vector is not None:
        return BiasLaw()
    raise NotCovered(f"the bias {name} says no law of what it draws")
