"""A random semi-orthogonal matrix times the gain (Saxe et al. 2013, arXiv:1312.6120)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.components.inits import InitSpec
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
else:
    np = lazy("numpy")


def draw(fan_in: int, fan_out: int, gain: float, rng: np.random.Generator) -> Array:
    """gain times Q of a normal matrix's QR, (fan_in, fan_out); signs fixed so that Q is Haar."""
    normal = rng.standard_normal((fan_in, fan_out))
    tall = normal if fan_in >= fan_out else normal.T
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))
    return gain * np.ascontiguousarray(q if fan_in >= fan_out else q.T)


SPEC = InitSpec(
    draw=draw,
    std=lambda fan_in, fan_out, gain: gain / math.sqrt(max(fan_in, fan_out)),
    orthogonal=True,
    summary="orthogonal columns times the gain",
)
