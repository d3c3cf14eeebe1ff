"""Mean of squares: strength * mean(w^2), summed over weight matrices.

Its pull on one weight falls with the size of its matrix, 2 strength w / size: on small data it
begins to work from a strength of about 10.
"""

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

SPEC = PenaltySpec(
    value=lambda w: w.square().mean(),
    shrink=lambda size: 2.0 / size,
    strength=Param(default=0.01, low=0.0, high=1e6),
    summary="strength * mean of squares of each weight matrix, summed",
)
