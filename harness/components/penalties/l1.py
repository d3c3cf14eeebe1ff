"""Sum of absolute values: strength * sum|w|; its gradient strength * sign(w) is 0 at 0."""

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

SPEC = PenaltySpec(
    value=lambda w: w.abs().sum(),
    gradient=lambda w: w.sign(),
    keeps_zeros=True,
    strength=Param(default=1e-4, low=0.0, high=1e6),
    kernel=1,
    summary="strength * sum of absolute values",
)
