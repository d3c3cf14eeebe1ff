"""U(-1, 1), embeddings too, as in micrograd."""

from __future__ import annotations

import math

from harness.components.inits import InitSpec

STD = 1 / math.sqrt(3)
KURTOSIS = -1.2  # excess, of any uniform law

SPEC = InitSpec(
    draw=lambda fan_in, fan_out, _gain, rng: rng.uniform(-1.0, 1.0, (fan_in, fan_out)),
    std=lambda _fan_in, _fan_out, _gain: STD,
    kurtosis=KURTOSIS,
    embedding=lambda V, D, rng: rng.uniform(-1.0, 1.0, (V, D)),
    embedding_std=STD,
    embedding_kurtosis=KURTOSIS,
    summary="U(-1, 1) whatever the fan-in, embeddings too",
)
