"""How the engine and the evaluation call a loss by name.

Axes: K runs, B examples, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.config.groups import Loss
from harness.config.run import RunConfig


def loss_values(loss: Loss, logits_BV: Tensor, target_B: Tensor) -> Tensor:
    """One run's loss of each example, (B,), in the loss's own units."""
    smoothing_K = None
    if loss.label_smoothing > 0:
        smoothing_K = torch.tensor(
            [loss.label_smoothing], dtype=logits_BV.dtype, device=logits_BV.device
        )
    summed = loss.reduction == "sum"
    return loss.spec.value(logits_BV[None], target_B[None], smoothing_K, summed)[0]


class LossHeads:
    """d loss / d logits (K, B, V) for K stacked runs, each with its own loss, from z into d.

    Neighbours with the same loss, reduction and kind of smoothing share one call, so runs are best
    sorted by `head_key`.
    """

    def __init__(
        self, runs: Sequence[RunConfig], z_KBV: Tensor, d_KBV: Tensor, batch_size: int
    ) -> None:
        z, d, self.d_KBV, self.rows = z_KBV, d_KBV, d_KBV, batch_size
        like: dict[str, Any] = {"dtype": z.dtype, "device": z.device}
        self.parts: list[Callable[[Tensor], None]] = []
        start = 0
        for stop in range(1, len(runs) + 1):
            if stop < len(runs) and head_key(runs[stop]) == head_key(runs[start]):
                continue
            part = [run.loss for run in runs[start:stop]]
            smooth = [loss.label_smoothing for loss in part]
            smoothing_K = torch.tensor(smooth, **like) if any(smooth) else None
            self.parts.append(_head(part[0], slice(start, stop), z, d, smoothing_K))
            start = stop
        scale = [gradient_scale(run.loss, z.shape[2], batch_size) for run in runs]
        self.scale_K = torch.tensor(scale, **like)
        self.factor_K11 = self.scale_K[:, None, None]

    def carry(self, times_K: Tensor) -> None:
        """Let the gradients carry a further factor of each run, (K,)."""
        self.factor_K11 = (self.scale_K * times_K)[:, None, None]

    def gradient(self, target_KB: Tensor) -> None:
        """Scaled gradients of the logits into d; 0 in rows past the batch."""
        for part in self.parts:
            part(target_KB)
        self.d_KBV.mul_(self.factor_K11)
        if self.rows < self.d_KBV.shape[1]:
            self.d_KBV[:, self.rows :].zero_()


def _head(
    loss: Loss, runs: slice, z_KBV: Tensor, d_KBV: Tensor, smoothing_K: Tensor | None
) -> Callable[[Tensor], None]:
    """A call that writes the gradients of some neighbouring runs; what can be bound, is."""
    spec, summed = loss.spec, loss.reduction == "sum"
    z, d, value, gradient = z_KBV[runs], d_KBV[runs], spec.value, spec.gradient
    if gradient is not None:

        def by_formula(target_KB: Tensor) -> None:
            gradient(z, target_KB[runs], smoothing_K, summed, out=d)

        return by_formula

    def by_autograd(target_KB: Tensor) -> None:
        with torch.enable_grad():
            leaf = z.detach().clone().requires_grad_()
            total = value(leaf, target_KB[runs], smoothing_K, summed).sum()
        d.copy_(torch.autograd.grad(total, leaf)[0])

    return by_autograd


def head_key(run: RunConfig) -> tuple[str, str, bool, str]:
    """What must agree for two runs to share one gradient call; sorts them into neighbours."""
    loss = run.loss
    own = loss.once("params", lambda: repr(sorted(loss.params.items())))
    return loss.name, loss.reduction, loss.label_smoothing > 0, own


def gradient_scale(loss: Loss, V: int, batch_size: int) -> float:
    """Factor on the summed per-example gradients: matching, and 1/B unless the batch is summed."""
    multiplier = loss.spec.multiplier
    matched = multiplier(V, loss.reduction == "sum") if loss.match_gradients else 1.0
    return matched / (1 if loss.batch_reduction == "sum" else batch_size)
