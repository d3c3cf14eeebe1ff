"""Uniform biases."""

from __future__ import annotations

from harness.components.biases import BiasLaw, BiasSpec

SPEC = BiasSpec(
    draw=lambda size, scale, rng, _targets: scale * rng.uniform(-1, 1, size),
    law=lambda scale: BiasLaw(half_width=scale),
    summary="U(-bias_scale, bias_scale)",
)
