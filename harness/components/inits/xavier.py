"""N(0, 2 / (fan_in + fan_out)): a compromise of both directions (Glorot & Bengio 2010)."""

from __future__ import annotations

import math

from harness.components.inits import InitSpec

SPEC = InitSpec(
    draw=lambda fan_in, fan_out, _gain, rng: (
        rng.standard_normal((fan_in, fan_out)) * math.sqrt(2.0 / (fan_in + fan_out))
    ),
    std=lambda fan_in, fan_out, _gain: math.sqrt(2 / (fan_in + fan_out)),
    summary="N(0, 2 / (fan_in + fan_out))",
)
