"""Losses over V classes, each as a value and as its gradient with respect to the logits.

Axes: K runs, B examples, V classes. Every function takes

    logits_KBV    floating point, any strides (a slice of a padded buffer will do)
    target_KB     int64 class codes in 0 ... V-1
    smoothing_K   label smoothing a in [0, 1) for each run, or None where no run smooths: the
                  target distribution is t = (1 - a) onehot + a / V
    summed        for mse, brier, bce and hinge: sum over classes (True) or mean over them (False)

A value is unreduced, (K, B). A gradient is written into `out` (K, B, V), also of any strides but
not overlapping the logits, and returned; call it on tensors that record no graph. It is
d value[k, b] / d logits[k, b, :]: no 1/B, no gradient matching (see registry.LossEntry.multiplier).

Two rules hold throughout, and the tests hold them. Logits of +-1e4 give finite float32 numbers.
And a row of the result depends on that row of the logits alone, to the last bit, wherever it
stands in the stack. So only kernels are used whose rounding does not depend on an element's place:
torch.sigmoid and F.softplus take another code path for the last few elements of a tensor, and are
replaced by exp and by logsigmoid here. The losses on -1/+1 labels are in binary_losses.py.
"""
# ruff: noqa: ARG001  (one signature for all losses, so that the engine need not tell them apart)

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def cross_entropy(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """-sum_v t[v] log softmax(z)[v], in nats per character; (K, B), unreduced. Ignores `summed`.

    Without smoothing it is log(sum_v exp(z[v])) - z[target]: 0 or more, without limit above, and
    ln V at equal logits. With a > 0 it is no code length: its floor is the entropy of t.
    Computed as logsumexp(z - z[target]), so that a common offset of the logits costs no digits.
    Source of the smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    gap_KBV = logits_KBV - logits_KBV.gather(-1, target_KB[..., None])
    value_KB = torch.logsumexp(gap_KBV, -1)
    if smoothing_K is None:
        return value_KB
    a_K1 = smoothing_K.to(value_KB.dtype)[:, None]
    # (1-a) (lse - z[target]) + a mean_v(lse - z[v]), both terms relative to z[target]
    return value_KB - a_K1 * gap_KBV.mean(-1)


def nll(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Negative log likelihood of log_softmax(z), in nats per character; (K, B). Ignores `summed`.

    The same function of the logits as `cross_entropy`, reached the other way: first log
    probabilities, then the target's entry. The two agree to rounding and share their gradient.
    """
    log_p_KBV = torch.log_softmax(logits_KBV, -1)
    value_KB = -log_p_KBV.gather(-1, target_KB[..., None]).squeeze(-1)
    if smoothing_K is None:
        return value_KB
    a_K1 = smoothing_K.to(value_KB.dtype)[:, None]
    return (1 - a_K1) * value_KB - a_K1 * log_p_KBV.mean(-1)


def cross_entropy_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """softmax(z) - t, (K, B, V): entries in [-1, 1], rows sum to 0. Serves `nll` too."""
    torch.softmax(logits_KBV, -1, out=out)
    return _subtract_target(out, target_KB, smoothing_K, 1.0)


def mse(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Squared error of the raw logits: mean (or sum) over v of (z[v] - t[v])^2; (K, B).

    No unit; 0 or more. At z = 0: 1/V (sum 1). It is least where z = t, so the logits learn
    probabilities themselves, and their softmax is no estimate of anything.
    """
    return _over_classes(_minus_target(logits_KBV, target_KB, smoothing_K).square(), summed)


def mse_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2 (z - t) / V, or 2 (z - t) when summed; (K, B, V), without limit."""
    scale = 2.0 if summed else 2.0 / out.shape[-1]
    torch.mul(logits_KBV, scale, out=out)
    return _subtract_target(out, target_KB, smoothing_K, scale)


def brier(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Squared error of p = softmax(z): mean (or sum) over v of (p[v] - t[v])^2; (K, B).

    No unit. The sum is Brier's score (Brier 1950) and lies in [0, 2]; at equal logits it is
    1 - 1/V. Shift-invariant. Where p is certain, right or wrong, the gradient vanishes.
    """
    p_KBV = torch.softmax(logits_KBV, -1)
    return _over_classes(_minus_target(p_KBV, target_KB, smoothing_K).square(), summed)


def brier_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """2c p (p - t - sum_v p[v] (p[v] - t[v])), c = 1/V or 1 when summed; (K, B, V).

    The uniform part a/V of t cancels between the two terms: smoothing only weakens the onehot.
    """
    scale = 2.0 if summed else 2.0 / out.shape[-1]
    torch.softmax(logits_KBV, -1, out=out)
    own_KB1 = out.gather(-1, target_KB[..., None])
    pull_K11 = None if smoothing_K is None else (1 - smoothing_K.to(out.dtype))[:, None, None]
    if pull_K11 is not None:
        own_KB1.mul_(pull_K11)
    factor_KBV = out - (out.square().sum(-1, keepdim=True) - own_KB1)
    share = out.new_ones(()) if pull_K11 is None else pull_K11
    factor_KBV.scatter_add_(-1, target_KB[..., None], share.neg().expand(own_KB1.shape))
    return out.mul_(factor_KBV.mul_(scale))


def bce(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Binary cross-entropy of sigmoid(z), each class against the rest; (K, B).

    Mean (or sum) over v of -t[v] log sigmoid(z[v]) - (1 - t[v]) log sigmoid(-z[v]), in nats per
    yes-or-no question, V of them a character; 0 or more; ln 2 (sum V ln 2) at z = 0.
    """
    index = target_KB[..., None]
    each_KBV = -logsigmoid(-logits_KBV)  # softplus(z), what every wrong class costs
    own_KB1 = logits_KBV.gather(-1, index)
    # the target's own entry in one piece: softplus(z) - z would lose all its digits at z = 1e4
    right_KB1 = -logsigmoid(own_KB1)
    if smoothing_K is None:
        each_KBV = each_KBV.scatter(-1, index, right_KB1)
    else:
        a_K11 = smoothing_K.to(each_KBV.dtype)[:, None, None]
        wrong_KB1 = each_KBV.gather(-1, index)
        each_KBV = each_KBV.scatter(-1, index, (1 - a_K11) * right_KB1 + a_K11 * wrong_KB1)
        each_KBV = each_KBV - a_K11 / each_KBV.shape[-1] * logits_KBV
    return _over_classes(each_KBV, summed)


def bce_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """(sigmoid(z) - t) / V, or sigmoid(z) - t when summed; (K, B, V)."""
    scale = 1.0 if summed else 1.0 / out.shape[-1]
    torch.neg(logits_KBV, out=out)
    out.exp_().add_(1.0).reciprocal_()  # z = -1e4: exp is inf, 1/inf is the right 0
    if not summed:
        out.mul_(scale)
    return _subtract_target(out, target_KB, smoothing_K, scale)


def hinge(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Sum over the V-1 rivals v of max(0, 1 + z[v] - z[target]), over V unless summed; (K, B).

    In logit units; 0 or more; (V-1)/V (sum V-1) at equal logits. Shift-invariant. Ignores
    smoothing. The mean is torch's multi_margin_loss. Source: Weston & Watkins 1999.
    """
    index = target_KB[..., None]
    margin_KBV = (logits_KBV - logits_KBV.gather(-1, index) + 1).relu()
    return _over_classes(margin_KBV.scatter(-1, index, 0.0), summed)


def hinge_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """Each rival inside the margin gets c, the target -c times their number; (K, B, V).

    c = 1/V, or 1 when summed. A rival exactly at the margin counts as outside, as in torch's
    multi_margin_loss; at equal logits all V-1 are inside.
    """
    index = target_KB[..., None]
    torch.gt(logits_KBV, logits_KBV.gather(-1, index) - 1, out=out)
    out.scatter_(-1, index, 0.0)
    out.scatter_(-1, index, out.sum(-1, keepdim=True).neg_())
    return out if summed else out.mul_(1.0 / out.shape[-1])


def crammer_singer(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """max(0, 1 + max over v != target of z[v] - z[target]); (K, B).

    In logit units; 0 or more; 1 at equal logits. Shift-invariant. Ignores smoothing and `summed`.
    Source: Crammer & Singer 2001.
    """
    index = target_KB[..., None]
    rival_KB = logits_KBV.scatter(-1, index, -math.inf).amax(-1)
    return (rival_KB - logits_KBV.gather(-1, index).squeeze(-1) + 1).relu()


def crammer_singer_gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,
    *,
    out: Tensor,
) -> Tensor:
    """1 for the strongest rival and -1 for the target while inside the margin; (K, B, V).

    Rivals that tie for strongest share the 1 evenly: the mean of the subgradients, as autograd
    takes it through amax. Exactly at the margin the gradient is 0.
    """
    index = target_KB[..., None]
    inside_KB1 = logits_KBV.gather(-1, index).sub_(1)
    out.copy_(logits_KBV).scatter_(-1, index, -math.inf)
    rival_KB1 = out.max(-1, keepdim=True).values  # amax is twice as slow on short rows
    inside_KB1 = torch.gt(rival_KB1, inside_KB1, out=inside_KB1)
    out.eq_(rival_KB1)
    out.mul_(inside_KB1 / out.sum(-1, keepdim=True))
    return out.scatter_(-1, index, inside_KB1.neg_())


def _over_classes(each_KBV: Tensor, summed: bool) -> Tensor:
    return each_KBV.sum(-1) if summed else each_KBV.mean(-1)


def _minus_target(values_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None) -> Tensor:
    """A new tensor, values - t, with no onehot ever built."""
    return _subtract_target(values_KBV.clone(), target_KB, smoothing_K, 1.0)


def _subtract_target(
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
