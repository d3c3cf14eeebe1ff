"""No penalty."""

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

SPEC = PenaltySpec(
    stage="none",
    strength=Param(default=0.0, low=0.0, high=0.0),
    summary="no penalty",
)
