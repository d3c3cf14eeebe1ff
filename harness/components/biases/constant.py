"""One constant for all biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.biases import BiasLaw, BiasSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

SPEC = BiasSpec(
    draw=lambda size, scale, _rng, _targets: np.full(size, scale),
    law=lambda scale: BiasLaw(mean=scale),
    summary="bias_scale in every unit",
)
