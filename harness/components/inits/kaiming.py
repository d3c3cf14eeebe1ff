"""N(0, gain^2 / fan_in): keeps the spread of activations (He et al. 2015, arXiv:1502.01852)."""

from __future__ import annotations

import math

from harness.components.inits import InitSpec

SPEC = InitSpec(
    draw=lambda fan_in, fan_out, gain, rng: (
        rng.standard_normal((fan_in, fan_out)) * (gain / math.sqrt(fan_in))
    ),
    std=lambda fan_in, _fan_out, gain: gain / math.sqrt(fan_in),
    summary="N(0, gain^2 / fan_in), the gain by the activation that follows",
)
