"""Sum of squares: strength * sum(w^2), whatever the size of a layer (Krogh & Hertz 1991)."""

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

SPEC = PenaltySpec(
    value=lambda w: w.square().sum(),
    shrink=lambda _size: 2.0,
    strength=Param(default=1e-4, low=0.0, high=1e6),
    summary="strength * sum of squares",
)
