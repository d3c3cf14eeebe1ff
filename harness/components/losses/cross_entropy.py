"""Cross-entropy: -log softmax(z)[target], straight from the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec
from harness.components.onehot import subtract_target

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import logit_law, logit_pairs, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch = lazy("numpy"), lazy("torch")
    logit_law = lazy("harness.numerics.logit_law")
    logit_pairs = lazy("harness.numerics.logit_pairs")
    targets = lazy("harness.numerics.targets")


def value(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,  # noqa: ARG001  one signature for all losses
) -> Tensor:
    """-sum_v t[v] log softmax(z)[v], in nats per character; (K, B), unreduced.

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


def gradient(
    logits_KBV: Tensor,
    target_KB: Tensor,
    smoothing_K: Tensor | None = None,
    summed: bool = False,  # noqa: ARG001
    *,
    out: Tensor,
) -> Tensor:
    """softmax(z) - t, (K, B, V): entries in [-1, 1], rows sum to 0."""
    torch.softmax(logits_KBV, -1, out=out)
    return subtract_target(out, target_KB, smoothing_K, 1.0)


def expected(
    law: LogitLaw,
    target: Target = None,
    *,
    smoothing: float = 0.0,
    summed: bool = False,  # noqa: ARG001
) -> float:
    """E log sum_v e^(z_v) - sum_v t_v E z_v, nats per character; ln V at equal logits.

    For i.i.d. normal logits: ln V + (s^2/2)(1 - 1/V) - s^4 (V-1)/(4 V^2) + ... when s is small,
    m (s + pi^2 / (12 s)), m = E max of V normals, when it is large.
    """
    gap = np.asarray(law.mean) - max(law.mean)
    shifted = logit_law.LogitLaw(law.std, tuple(float(v) for v in gap), law.half_width)
    t = targets.target_shares(target, law.V, smoothing)
    return logit_law.log_sum_exp(shifted)[0] - float(t @ gap)


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,): log sum e^z and t.z are correlated by k E p (Stein's lemma)."""
    k = law.noise**2 * rho
    pull = y.marginal(a) @ logit_law.probabilities(law)
    return logit_pairs.log_sum_exp_series(law, rho) + k * (y.overlap(a) - 2 * pull)


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:  # noqa: ARG001
    """ln p, at the entropy of p."""
    return Constant(targets.entropy((1 - smoothing) * p + smoothing / len(p)), "ln p")


SPEC = LossSpec(
    summary="-log softmax(z)[target], straight from the logits",
    kernel=1,
    value=value,
    gradient=gradient,
    smoothing=True,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    uniform_bias="up to a third too narrow",
    likelihood=True,
    unit="nats/char",
)
