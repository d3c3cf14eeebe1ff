"""What the losses over classes share: targets subtracted without a one-hot ever being built.

Axes: K runs, B examples, V classes. The losses take

    logits_KBV    floating point, any strides (a slice of a padded buffer will do)
    target_KB     int64 class codes in 0 ... V-1
    smoothing_K   label smoothing a in [0, 1) for each run, or None where no run smooths: the
                  target distribution is t = (1 - a) onehot + a / V
    summed        where a loss has a part for each class: their sum (True) or mean (False)

A value is unreduced, (K, B). A gradient is written into `out` (K, B, V), also of any strides but
not overlapping the logits, and returned; call it on tensors that record no graph. It is
d value[k, b] / d logits[k, b, :]: no 1/B, no gradient matching (see LossSpec.multiplier).

Two rules hold throughout, and the tests hold them. Logits of +-1e4 give finite float32 numbers.
And a row of the result depends on that row of the logits alone, to the last bit, wherever it
stands in the stack. So only kernels are used whose rounding does not depend on an element's place:
torch.sigmoid and F.softplus take another code path for the last few elements of a tensor, and are
replaced by exp and by logsigmoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def over_classes(each_KBV: Tensor, summed: bool) -> Tensor:
    """Sum or mean over the classes, (K, B)."""
    return each_KBV.sum(-1) if summed else each_KBV.mean(-1)


def minus_target(values_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None) -> Tensor:
    """A new tensor, values - t."""
    return subtract_target(values_KBV.clone(), target_KB, smoothing_K, 1.0)


def subtract_target(
    out_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None, scale: float
) -> Tensor:
    """Subtract scale * t in place and return out; a = 0 gives the bits that None gives."""
    index = target_KB[..., None]
    if smoothing_K is None:
        share = out_KBV.new_full((), -scale)
    else:
        a_K11 = smoothing_K.to(out_KBV.dtype)[:, None, None]
        out_KBV.sub_(a_K11 * (scale / out_KBV.shape[-1]))
        share = (a_K11 - 1) * scale
    return out_KBV.scatter_add_(-1, index, share.expand(index.shape))
