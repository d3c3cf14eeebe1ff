"""All zero, embeddings too: equal logits, and no gradient but to the output bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.inits import InitSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

SPEC = InitSpec(
    draw=lambda fan_in, fan_out, _gain, _rng: np.zeros((fan_in, fan_out)),
    std=lambda _fan_in, _fan_out, _gain: 0.0,
    embedding=lambda V, D, _rng: np.zeros((V, D)),
    embedding_std=0.0,
    summary="all weights 0: equal logits",
)
