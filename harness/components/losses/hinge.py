"""Weston and Watkins's multi-class hinge, margin 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.components.lazy import lazy
from harness.components.losses import Constant, LossSpec
from harness.components.onehot import over_classes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from harness.numerics import quadrature, targets
    from harness.numerics.logit_law import LogitLaw
    from harness.numerics.logit_pairs import Meeting
    from harness.numerics.quadrature import Array
    from harness.numerics.targets import Target
else:
    np, torch, targets = lazy("numpy"), lazy("torch"), lazy("harness.numerics.targets")
    quadrature = lazy("harness.numerics.quadrature")
# ruff: noqa: ARG001  (one signature for all losses)


def value(
    logits_KBV: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None, summed: bool = False
) -> Tensor:
    """Sum over the V-1 rivals v of max(0, 1 + z[v] - z[target]), over V unless summed; (K, B).

    In logit units; 0 or more; (V-1)/V (sum V-1) at equal logits. Shift-invariant. Ignores
    smoothing. The mean is torch's multi_margin_loss. Source: Weston & Watkins 1999.
    """
    index = target_KB[..., None]
    margin_KBV = (logits_KBV - logits_KBV.gather(-1, index) + 1).relu()
    return over_classes(margin_KBV.scatter(-1, index, 0.0), summed)


def gradient(
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


def expected(
    law: LogitLaw, target: Target = None, *, smoothing: float = 0.0, summed: bool = False
) -> float:
    """E of the sum over rivals j of max(0, 1 + z_j - z_y), over V.

    I.i.d. normal logits, tau = s sqrt(2): (V-1)/V [Phi(1/tau) + tau phi(1/tau)], phi the density.
    """
    law = law.simplified()
    m, u = np.asarray(law.mean), targets.target_shares(target, law.V)
    margin = 1 + m[None, :] - m[:, None]  # (y, j)
    tau, c = law.std * math.sqrt(2), law.half_width
    if c == 0:
        each = quadrature.mean_positive_part(margin, tau)
    else:  # the difference of two uniforms is triangular: a second difference of the integral
        cube = quadrature.mean_positive_cube
        up, down = (cube(margin + d, tau) for d in (2 * c, -2 * c))
        each = (up - 2 * cube(margin, tau) + down) / (4 * c * c)
    total = float(u @ (each.sum(1) - np.diag(each)))
    return total if summed else total / law.V


def spread(law: LogitLaw, rho: Array, y: Meeting, a: float) -> Array:
    """Covariance (M,): margins that share y or j correlate by rho/2, those that share both: rho."""
    V, m = law.V, np.asarray(law.mean)
    x, w = quadrature.normal_nodes()
    kinds, place = np.unique(1 + m[None, :] - m[:, None], return_inverse=True)
    values = np.maximum(kinds[:, None] + math.sqrt(2) * law.noise * x, 0.0)
    table = values @ quadrature.hermite_table()
    table[:, 0] = 0.0
    variances = np.maximum(values**2 @ w - (values @ w) ** 2, 0.0)
    n = np.arange(table.shape[-1])
    half, sign = 0.5**n, (-1.0) ** n
    powers = rho[:, None] ** n
    if law.exchangeable:
        h2 = table[0] ** 2
        c_same = (V - 1) * (1 + half * (V - 2)) * h2
        c_apart = (half * (V - 2) * (1 + 2 * sign) + sign) * h2
        rest = (V - 1) * (float(variances[0]) - float(h2.sum()))
    else:
        each, rest = _margins(table, variances, place.reshape(V, V), y.joint)
        series_ = each[y.level] * powers
        return series_.sum(-1) + y.same * max(rest, 0.0) * np.abs(rho) ** len(n)
    out: Array = powers @ c_same + max(rest, 0.0) * np.abs(rho) ** len(n)
    return y.same * out + (1 - y.same) * (powers @ c_apart)


def _margins(
    table: Array, variances: Array, place: NDArray[np.intp], joint: Array
) -> tuple[Array, float]:
    """Series (L, N) of each kind of pairs, and what lies beyond it for equal targets."""
    V = len(place)
    n = np.arange(table.shape[-1])
    half, sign = 0.5**n, (-1.0) ** n
    h = table[place]  # (y, j, N)
    h[np.arange(V), np.arange(V)] = 0.0
    variance = variances[place]
    variance[np.arange(V), np.arange(V)] = 0.0
    rows, own = h.sum(1), (h**2).sum(1)  # (y, N)
    inner = np.einsum("yjn,zjn->yzn", h, h)  # rivals in common
    back = h * h.transpose(1, 0, 2)  # each is the other's rival: correlation -rho
    lean = h * (rows[None] - h.transpose(1, 0, 2))  # one margin's rival is the other's target
    equal = half * (rows**2 - own) + own
    apart = half * inner + sign * back + half * sign * (lean + lean.transpose(1, 0, 2))
    apart[np.arange(V), np.arange(V)] = equal
    u = joint[-1].sum(1)
    rest = float(u @ variance.sum(1)) - float(u @ own.sum(-1))
    return np.tensordot(joint, apart, 2), rest


def best_constant(p: Array, *, smoothing: float, summed: bool) -> Constant:
    """Whole-number steps (see `lowest_levels`)."""
    size = 1.0 if summed else 1.0 / len(p)
    return Constant(lowest_levels(p) * size, "a whole number that rises with p")


def lowest_levels(p: Array) -> float:
    """Lowest E sum_j max(0, 1 + b_j - b_y) over constant logits b, targets drawn with shares p.

    The minimum lies at whole numbers that rise with p. With n_l symbols at level l or above and
    U(n) the share of the n commonest, the cost is sum_l n_l (1 - U(n_(l+1))) - 1: a shortest path.
    """
    share = np.concatenate([[0.0], np.cumsum(np.sort(p)[::-1])])
    best = np.zeros(len(share))
    for n in range(1, len(share)):
        best[n] = float((n * (1 - share[:n]) + best[:n]).min())
    return float(best[-1] - 1)


SPEC = LossSpec(
    summary="Weston-Watkins multi-class hinge, margin 1 (torch's multi_margin_loss)",
    kernel=5,
    value=value,
    gradient=gradient,
    per_class=True,
    multiplier=lambda V, summed: 1.0 / V if summed else 1.0,
    expected=expected,
    spread=spread,
    best_constant=best_constant,
    log_probabilities=False,
    unit="margin units",
)
