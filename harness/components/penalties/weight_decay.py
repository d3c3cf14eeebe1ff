"""Decoupled weight decay: w -= rate * strength * w beside the gradient, never through it.

Loshchilov & Hutter 2019, arXiv:1711.05101. It is no part of the objective; under plain SGD it moves
weights as l2_sum of half the strength does, under Adam it does not.
"""

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

SPEC = PenaltySpec(
    stage="decoupled",
    shrink=lambda _size: 1.0,
    strength=Param(default=1e-4, low=0.0, high=1e6),
    summary="decoupled: weights shrink by rate * strength a step",
)
