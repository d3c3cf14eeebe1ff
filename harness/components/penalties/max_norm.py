"""Max-norm: a unit's incoming weights are scaled back to length `strength` where they are longer.

Srebro & Shraibman 2005; Srivastava et al. 2014, section 5.1. Embedding and biases have no such
unit and are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.params import Param
from harness.components.penalties import PenaltySpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")


def project(w_KIO: Tensor, limit_K11: Tensor) -> None:
    """Each output unit's incoming weights, (I,), to norm <= limit, in place."""
    norm_K1O = torch.linalg.vector_norm(w_KIO, dim=1, keepdim=True)
    w_KIO.mul_(torch.where(norm_K1O > limit_K11, limit_K11 / norm_K1O, 1.0))


SPEC = PenaltySpec(
    stage="constraint",
    project=project,
    strength=Param(default=3.0, low=0.0, high=1e6, unit="length of a unit's incoming weights"),
    linear_only=True,
    keeps_zeros=True,
    kernel=2,
    summary="incoming weights of each unit no longer than `strength`",
)
