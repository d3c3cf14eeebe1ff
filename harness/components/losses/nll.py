"""Negative log likelihood of log_softmax(z): cross-entropy, reached the other way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import cross_entropy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")


def value(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,  # noqa: ARG001  one signature for all losses
) -> Tensor:
    """Negative log likelihood of log_softmax(z), in nats per character; (K, B).

    The same function of the logits as cross-entropy: first log probabilities, then the target's
    entry. The two agree to rounding and share their gradient.
    """
    log_p_KBV = torch.log_softmax(logits_KBV, -1)
    value_KB = -log_p_KBV.gather(-1, target_KB[..., None]).squeeze(-1)
    if smoothing_K is None:
        return value_KB
    a_K1 = smoothing_K.to(value_KB.dtype)[:, None]
    return (1 - a_K1) * value_KB - a_K1 * log_p_KBV.mean(-1)


SPEC = dataclasses.replace(
    cross_entropy.SPEC,
    summary="negative log likelihood of log_softmax(z); agrees with cross_entropy",
    value=value,
)
