"""What the init.* settings mean: the law from which each layer's numbers are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.components.activations import ACTIVATIONS

if TYPE_CHECKING:
    from harness.config.run import Init, Model
    from harness.theory.overlap import Facts

BATCH_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Layer:
    """One linear layer's draw. The bias is a constant, plus normal, plus uniform noise."""

    name: str
    fan_in: int
    fan_out: int
    weight: float  # standard deviation of an entry
    fourth: float  # excess kurtosis of an entry: 0 normal, -1.2 uniform
    orthogonal: bool
    bias_std: float
    bias_half_width: float
    bias_mean: float


def embedding_std(init: Init) -> float:
    """Standard deviation of an embedding entry: N(0,1), U(-1,1) under uniform, 0 under zero."""
    unit = {"zero": 0.0, "uniform": 1 / math.sqrt(3)}.get(init.scheme, 1.0)
    reached = init.scope in ("all", "embedding")
    return unit * init.embed_scale * (init.weight_scale if reached else 1.0)


def layers(model: Model, init: Init, facts: Facts) -> tuple[Layer, ...]:
    """Every linear layer's law, input to output, from the meaning of the init.* settings."""
    inputs = facts.block if facts.kind == "binary" else facts.block * model.n_embd
    widths = [inputs, *model.hidden, facts.V]
    out = []
    for i in range(len(widths) - 1):
        fan_in, fan_out, last = widths[i], widths[i + 1], i == len(widths) - 2
        gain = 1.0 if last else ACTIVATIONS.get(model.activation).gain
        weight = {
            "kaiming": gain / math.sqrt(fan_in),
            "normal": 1.0,
            "uniform": 1 / math.sqrt(3),
            "xavier": math.sqrt(2 / (fan_in + fan_out)),
            "orthogonal": gain / math.sqrt(max(fan_in, fan_out)),
            "zero": 0.0,
        }[init.scheme]
        scope = ("linear", "all", "output") if last else ("linear", "all", "hidden")
        weight *= init.weight_scale if init.scope in scope else 1.0
        weight *= init.output_scale if last else 1.0
        bias = (init.output_bias or init.bias) if last else init.bias
        if model.batch_norm and not last:  # no bias before it; running statistics 0 and 1
            weight, bias = weight / math.sqrt(1 + BATCH_NORM_EPS), "zero"
        size = init.bias_scale
        out.append(
            Layer(
                "output" if last else f"hidden.{i}", fan_in, fan_out, weight,
                -1.2 if init.scheme == "uniform" else 0.0, init.scheme == "orthogonal",
                size if bias == "normal" else 0.0,
                size if bias == "uniform" else 0.0,
                size if bias == "constant" else 0.0,
            )
        )  # fmt: skip
    return tuple(out)
