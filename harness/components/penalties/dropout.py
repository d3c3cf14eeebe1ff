"""Inverted dropout of hidden units, in training alone (Srivastava et al. 2014, JMLR 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.params import Param
from harness.components.penalties import PenaltySpec

if TYPE_CHECKING:
    from torch import Tensor


def mask(uniform: Tensor, p: Tensor) -> Tensor:
    """0 with probability p, else 1 / (1 - p), so that the mean is 1."""
    return (uniform >= p) / (1.0 - p)


SPEC = PenaltySpec(
    stage="activation",
    mask=mask,
    strength=Param(default=0.1, low=0.0, below=1.0, unit="share of hidden units"),
    kernel=3,
    summary="share `strength` of hidden units silenced, in training alone",
)
