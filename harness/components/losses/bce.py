"""Binary cross-entropy, one class against the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec
from harness.components.onehot import over_classes, subtract_target

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from harness.numerics import logit_means, quadrature, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")
    logit_means = lazy("harness.numerics.logit_means")
    quadrature = lazy("harness.numerics.quadrature")


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Binary cross-entropy of sigmoid(z), each class against the rest; (K, B).

    Mean (or sum) over v of -t[v] log sigmoid(z[v]) - (1 - t[v]) log sigmoid(-z[v]), in nats per
    yes-or-no question, V of them a character; 0 or more; ln 2 (sum V ln 2) at z = 0.
    """
    logsigmoid = torch.nn.functional.logsigmoid
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
    return over_classes(each_KBV, summed)


def gradient(
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
    return subtract_target(out, target_KB, smoothing_K, scale)


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E sum_v softplus(z_v) - t_v z_v over V: ln 2 + s^2/8 - s^4/64 + ... for small s."""
    law = law.simplified()
    m, t = np.asarray(law.mean), targets.target_shares(target, law.V, smoothing)
    means, count = np.unique(m, return_counts=True)
    total = float(count @ logit_means.softplus(means, law)) - float(t @ m)
    return total if summed else total / law.V


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,) of sum softplus(z) - t.z: each class by its Hermite series."""
    k = law.noise**2 * rho
    x, w = quadrature.normal_nodes()
    means, place, count = np.unique(law.mean, return_inverse=True, return_counts=True)
    z = means[:, None] + law.noise * x
    values = np.logaddexp(0.0, z)
    c = values @ quadrature.hermite_table()
    c[:, 0] = 0.0
    variance = np.maximum(values**2 @ w - (values @ w) ** 2, 0.0)
    each = quadrature.correlate(c[:, None], c[:, None], rho, variance[:, None])  # (G, M)
    sigmoid = 0.5 * (1 + np.tanh(z / 2))
    pull = y.marginal(a) @ (sigmoid @ w)[place]
    return count @ each + k * (y.overlap(a) - 2 * pull)


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """The log odds of p, each class at its own entropy."""
    V = len(p)
    t = (1 - smoothing) * p + smoothing / V
    size = 1.0 if summed else 1.0 / V
    return Constant((targets.entropy(t) + targets.entropy(1 - t)) * size, "ln p - ln(1 - p)")


SPEC = LossSpec(
    summary="binary cross-entropy, one class against the rest",
    kernel=4,
    value=value,
    gradient=gradient,
    smoothing=True,
    per_class=True,
    multiplier=lambda V, summed: 1.0 if summed else float(V),
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    log_probabilities=False,
    links=("softmax", "sigmoid"),
    unit="nats/class",
)
