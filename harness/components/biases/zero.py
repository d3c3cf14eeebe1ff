"""All biases 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.biases import BiasLaw, BiasSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

SPEC = BiasSpec(
    draw=lambda size, _scale, _rng, _targets: np.zeros(size),
    law=lambda _scale: BiasLaw(),
    vector=lambda targets: np.zeros(targets.outputs),
    summary="0",
)
