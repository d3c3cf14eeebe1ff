"""N(0, 1), whatever the fan-in: confidently wrong from the first step."""

from __future__ import annotations

from harness.components.inits import InitSpec

SPEC = InitSpec(
    draw=lambda fan_in, fan_out, _gain, rng: rng.standard_normal((fan_in, fan_out)),
    std=lambda _fan_in, _fan_out, _gain: 1.0,
    summary="N(0, 1) whatever the fan-in",
)
