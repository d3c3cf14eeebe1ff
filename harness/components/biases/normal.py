"""Normal biases."""

from __future__ import annotations

from harness.components.biases import BiasLaw, BiasSpec

SPEC = BiasSpec(
    draw=lambda size, scale, rng, _targets: scale * rng.standard_normal(size),
    law=lambda scale: BiasLaw(std=scale),
    summary="N(0, bias_scale^2)",
)
