"""Whether a bias begins as its law says."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.components.biases import BiasSpec, Targets
from harness.numerics.randomness import stream

SIZE, ERRORS = 20_000, 5.0


def problems(spec: BiasSpec) -> Iterator[str]:
    """Every inconsistency of one bias start, in words."""
    share = np.array([0.5, 0.3, 0.2])
    targets = Targets(share=share, count=100, outputs=3)
    size = 3 if spec.of_symbols or spec.vector is not None else SIZE
    drawn = spec.draw(size, 0.7, stream(0, "check"), targets)
    if np.shape(drawn) != (size,):
        yield f"draw({size}, ...) gives the shape {np.shape(drawn)}"
    elif not np.isfinite(drawn).all():
        yield "not every number that draw gives is finite"
    elif spec.vector is not None and not np.allclose(spec.vector(targets), drawn):
        yield "vector(targets) differs from what draw gives"
    elif spec.law is not None:
        law = spec.law(0.7)
        std = math.hypot(law.std, law.half_width / math.sqrt(3))
        error = ERRORS * std / math.sqrt(size) + 1e-12
        if abs(float(np.mean(drawn)) - law.mean) > error:
            yield f"law says the mean is {law.mean:.4g}; drawn: {float(np.mean(drawn)):.4g}"
        if abs(float(np.std(drawn)) - std) > error:
            yield f"law says the std is {std:.4g}; drawn: {float(np.std(drawn)):.4g}"
