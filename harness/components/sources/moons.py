"""Two interleaved half circles in the plane, which no line separates."""

from __future__ import annotations

import functools

import numpy as np

from harness.components.sources import Points, Settings, SourceSpec, balanced_labels
from harness.numerics.randomness import stream

NOISE = 0.15  # standard deviation around two half circles of radius 1


@functools.lru_cache(maxsize=2)
def moons(seed: int, n: int) -> Points:
    """n points around the two half circles, centred on the origin, labels equally likely."""
    rng = stream(seed, "moons")
    y_N = balanced_labels(rng, n)
    angle_N = rng.random(n) * np.pi
    # the upper moon is (cos, sin); the lower one is turned by half a turn and shifted by (1, 1/2)
    x_N = np.where(y_N < 0, np.cos(angle_N), 1 - np.cos(angle_N)) - 0.5
    height_N = np.where(y_N < 0, np.sin(angle_N), 0.5 - np.sin(angle_N)) - 0.25
    x_NI = np.stack([x_N, height_N], axis=1) + rng.standard_normal((n, 2)) * NOISE
    return Points(x_NI=x_NI.astype(np.float32), y_N=y_N)


def load(settings: Settings) -> Points:
    """data.words points of data.source_seed."""
    return moons(settings.source_seed, settings.words)


SPEC = SourceSpec(
    load=load,
    kind="binary",
    unit="nats/example",
    reads=("words", "source_seed"),
    summary="two interleaved half circles in the plane, labels -1 and +1",
)
