"""Squared error of one logit against a label of -1 or +1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")
# ruff: noqa: ARG001  (one signature for all losses)


def value(
    logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """(z - y)^2; (K, B). No unit; 0 or more; 1 at z = 0, 4 at the wrong label."""
    return (logits_KB1.squeeze(-1) - target_KB.to(logits_KB1.dtype)).square()


def gradient(
    logits_KB1: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2 (z - y), (K, B, 1)."""
    return torch.sub(logits_KB1, target_KB.to(out.dtype)[..., None], out=out).mul_(2.0)


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E (z - y)^2, y = -1 or +1: mean^2 + s^2 + 1 - 2 mean E y."""
    m, (minus, plus) = law.mean[0], targets.label_shares(target)
    return m * m + law.noise**2 + 1 - 2 * m * (plus - minus)


def of_margin(t: Array) -> Array:
    """(1 - t)^2, t = y z."""
    return (1 - t) ** 2


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The mean label."""
    return Constant(1 - float(p[1] - p[0]) ** 2, "mean label")


def columns(z_C: Array) -> Array:
    """(C, 2): z estimates y, so (1 + z) / 2 estimates the probability of +1."""
    return np.stack([(1 - z_C) / 2, (1 + z_C) / 2], 1)


SPEC = LossSpec(
    summary="(z - y)^2 with y = -1 or +1",
    kernel=8,
    value=value,
    gradient=gradient,
    kind="binary",
    expected=expected,
    of_margin=of_margin,
    best_constant=best_constant,
    log_probabilities=False,
    links=("softmax", "clip"),
    columns=columns,
    unit="squared error",
)
