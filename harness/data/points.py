"""Two binary data sets with dense inputs in the plane: `points` (two blobs) and `moons`.

Both return (x_NI, y_N): x float32 (N, 2), y int64 of -1 or +1, in random order, drawn from the
named stream of one seed. They suit the binary losses and the small nets of the micrograd lecture,
whose own four three-dimensional points are too few to split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.numerics.randomness import stream

Points = tuple[NDArray[np.float32], NDArray[np.int64]]
BLOB_CENTRE = 1.0  # class means at y * (1, 1)
BLOB_SD = 0.7  # Bayes error Phi(-sqrt(2) / 0.7) = 2.2 %: nearly separable, by the line x0 + x1 = 0
MOON_SD = 0.15  # noise around two half circles of radius 1


def blobs(seed: int, n: int) -> Points:
    """Two round Gaussian blobs, labels equally likely; the best classifier is linear."""
    rng = stream(seed, "points")
    y_N = _labels(rng, n)
    x_NI = y_N[:, None] * BLOB_CENTRE + rng.standard_normal((n, 2)) * BLOB_SD
    return x_NI.astype(np.float32), y_N


def moons(seed: int, n: int) -> Points:
    """Two interleaved half circles around the origin; no line separates them."""
    rng = stream(seed, "moons")
    y_N = _labels(rng, n)
    angle_N = rng.random(n) * np.pi
    # the upper moon is (cos, sin); the lower one is turned by half a turn and shifted by (1, 1/2)
    x_N = np.where(y_N < 0, np.cos(angle_N), 1 - np.cos(angle_N)) - 0.5
    height_N = np.where(y_N < 0, np.sin(angle_N), 0.5 - np.sin(angle_N)) - 0.25
    x_NI = np.stack([x_N, height_N], axis=1) + rng.standard_normal((n, 2)) * MOON_SD
    return x_NI.astype(np.float32), y_N


def _labels(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Labels, as many of -1 as of +1 (one more where n is odd), shuffled."""
    y_N = np.where(np.arange(n) % 2 == 0, -1, 1).astype(np.int64)
    return rng.permutation(y_N)
