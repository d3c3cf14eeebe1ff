"""Two round Gaussian blobs in the plane, nearly separable by a line."""

from __future__ import annotations

import functools

import numpy as np

from harness.components.sources import Points, Settings, SourceSpec, balanced_labels
from harness.numerics.randomness import stream

CENTRE = 1.0  # class means at y * (1, 1)
SD = 0.7  # Bayes error Phi(-sqrt(2) / 0.7) = 2.2 %, of the line x0 + x1 = 0


@functools.lru_cache(maxsize=2)
def blobs(seed: int, n: int) -> Points:
    """n points of two blobs, labels equally likely; the best classifier is linear."""
    rng = stream(seed, "points")
    y_N = balanced_labels(rng, n)
    x_NI = y_N[:, None] * CENTRE + rng.standard_normal((n, 2)) * SD
    return Points(x_NI=x_NI.astype(np.float32), y_N=y_N)


def load(settings: Settings) -> Points:
    """data.words points of data.source_seed."""
    return blobs(settings.source_seed, settings.words)


SPEC = SourceSpec(
    load=load,
    kind="binary",
    unit="nats/example",
    reads=("words", "source_seed"),
    summary="two Gaussian blobs in the plane, labels -1 and +1",
)
