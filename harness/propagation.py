"""From a config to the law of its logits: variances and correlations carried through the layers.

For zero-mean independent weights of standard deviation w, fan-in I and a bias of standard
deviation b, a layer's preactivations are normal given the layer below, with variance
q = w^2 sum_i a_i^2 + b^2, and two examples' preactivations have covariance
w^2 sum_i a_i a'_i + b^2. Wide layers replace the sums by I E phi(h) phi(h') under the law of the
layer below (Poole et al. 2016, arXiv:1606.05340). Finite width is not neglected: q itself varies
from draw to draw, by 1/I times the relative variance of a^2 and by what it inherits, the norms of
the embeddings drawn included. Both its mean and its spread are carried on, as a gamma law.

Axes: S examples that stand for all (one for class data, all alike), M pairs of examples,
N Hermite orders, X nodes, G nodes of the law of q, B nodes of a uniform bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.config import Init, Model
from harness.overlap import Facts
from harness.quadrature import (
    Array, cdf, correlate, hermite_table, normal_nodes, scale_nodes, uniform_nodes,
)  # fmt: skip

GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "gelu": math.sqrt(2), "linear": 1.0}
OVERFLOW = 1e72  # a variance whose activations leave float32
BATCH_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Layer:
    """One linear layer's draw. The bias is a constant, plus normal, plus uniform noise."""

    name: str
    fan_in: int
    fan_out: int
    weight: float  # standard deviation of an entry
    fourth: float  # excess kurtosis of an entry: 0 normal, -1.2 uniform
    orthogonal: bool
    bias_std: float
    bias_half_width: float
    bias_mean: float


@dataclass(frozen=True)
class Signal:
    """The logits' second-order law at step 0. Normal parts alone; a uniform output bias is apart.

    variance (S,): E s^2 over draws; own (S,): relative variance of s^2 for one example; pair
    arrays (M,): weight, indices, covariance, relative covariance of the two s^2 over draws (`common`),
    chance of one target. `table` has (layer, preactivation std, activation std, saturated share).
    """

    variance: Array
    own: Array
    weight: Array
    left: Array
    right: Array
    covariance: Array
    common: Array
    same: Array
    output: Layer
    table: tuple[tuple[str, float, float, float], ...]
    overflow: bool


def activate(kind: str, h: Array) -> Array:
    """The activation named by model.activation."""
    if kind == "tanh":
        return np.tanh(h)
    if kind == "relu":
        return np.maximum(h, 0.0)
    return h * cdf(h) if kind == "gelu" else h


def embedding_std(init: Init) -> float:
    """Standard deviation of an embedding entry: N(0,1), U(-1,1) under uniform, 0 under zero."""
    unit = {"zero": 0.0, "uniform": 1 / math.sqrt(3)}.get(init.scheme, 1.0)
    return unit * init.embed_scale * (init.weight_scale if init.scope in ("all", "embedding") else 1)


def layers(model: Model, init: Init, facts: Facts) -> tuple[Layer, ...]:
    """Every linear layer's law, input to output, from the meaning of the init.* settings."""
    inputs = facts.block if facts.kind == "binary" else facts.block * model.n_embd
    widths = [inputs, *model.hidden, facts.V]
    out = []
    for i in range(len(widths) - 1):
        fan_in, fan_out, last = widths[i], widths[i + 1], i == len(widths) - 2
        gain = 1.0 if last else GAINS[model.activation]
        weight = {
            "kaiming": gain / math.sqrt(fan_in),
            "normal": 1.0,
            "uniform": 1 / math.sqrt(3),
            "xavier": math.sqrt(2 / (fan_in + fan_out)),
            "orthogonal": gain / math.sqrt(max(fan_in, fan_out)),
            "zero": 0.0,
        }[init.scheme]
        scope = ("linear", "all", "output") if last else ("linear", "all", "hidden")
        weight *= init.weight_scale if init.scope in scope else 1.0
        weight *= init.output_scale if last else 1.0
        bias = (init.output_bias or init.bias) if last else init.bias
        if model.batch_norm and not last:  # no bias before it; running statistics 0 and 1
            weight, bias = weight / math.sqrt(1 + BATCH_NORM_EPS), "zero"
        size = init.bias_scale
        out.append(
            Layer(
                "output" if last else f"hidden.{i}", fan_in, fan_out, weight,
                -1.2 if init.scheme == "uniform" else 0.0, init.scheme == "orthogonal",
                size if bias == "normal" else 0.0,
                size if bias == "uniform" else 0.0,
                size if bias == "constant" else 0.0,
            )
        )  # fmt: skip
    return tuple(out)


def propagate(model: Model, init: Init, facts: Facts, *, normalised: bool = False) -> Signal:
    """Carry variances, correlations and their spread to the logits.

    normalised: the batch norm of training mode, which makes every hidden variance 1.
    """
    stack = layers(model, init, facts)
    start = _points(stack[0], facts) if facts.kind == "binary" else _contexts(
        stack[0], facts, embedding_std(init), model.n_embd, 0.8 if init.scheme == "uniform" else 2.0
    )
    q, own, k, common, left, right, weight, same = start
    table = []
    overflow = False
    for layer, above in zip(stack, stack[1:], strict=False):
        if normalised:
            k, q = k / np.sqrt(q[left] * q[right]), np.ones_like(q)
            own, common = np.zeros_like(own), np.zeros_like(common)
        if q.max(initial=0.0) > OVERFLOW:
            overflow, q, k = True, np.ones_like(q), np.ones_like(k)
        q, own, k, common, row = _through(
            model.activation, layer, above, q, own, k, common, left, right
        )
        table.append((layer.name, *row))
    overflow |= bool(q.max(initial=0.0) > OVERFLOW)
    last = stack[-1]
    if last.orthogonal:  # |z| is fixed by the columns' length: less spread than normal weights
        drawn = np.maximum(1 - last.bias_std**2 / np.maximum(q, 1e-300), 0.0)
        n = max(last.fan_in, last.fan_out)
        own = own - 2 / n * drawn**2
        common = common - 2 / n * drawn[left] * drawn[right] * _correlation(k, q, left, right) ** 2
    return Signal(q, own, weight, left, right, k, common, same, last, tuple(table), overflow)


def _correlation(k: Array, q: Array, left: Array, right: Array) -> Array:
    size = np.sqrt(q[left] * q[right])
    return np.clip(np.divide(k, size, out=np.ones_like(k), where=size > 0), -1.0, 1.0)


def _contexts(
    first: Layer, facts: Facts, std: float, n_embd: int, kurtosis: float
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """Class data: one standing-in example, pairs by the number m of positions that agree.

    Rows of one finite embedding are not orthogonal: the inputs' correlation scatters around m/T
    by about sqrt((T - m) / D) / T; three nodes for each m stand for that.
    """
    T, D = facts.block, n_embd
    drawn = first.weight**2 * T * D * std**2
    q = drawn + first.bias_std**2
    share = drawn / q if q > 0 else 0.0
    rho, weight, same = [], [], []
    for m in range(T + 1):
        f = m / T
        scatter = math.sqrt((T - m) / D) / T if m < T else 0.0
        scatter = math.sqrt(scatter**2 + kurtosis / (D * T) * f * (1 - f))
        nodes = ((0.0, 2 / 3), (-math.sqrt(3), 1 / 6), (math.sqrt(3), 1 / 6))
        for x, w in nodes if m < T else ((0.0, 1.0),):
            rho.append(min(max(f + x * scatter, -1.0), 1.0))
            weight.append(w * facts.overlap[m])
            same.append(facts.same[m])
    M = len(rho)
    norm = kurtosis / (D * T * T) * share**2  # relative variance of |embedding|^2, per coincidence
    zero = np.zeros(M, dtype=np.int64)
    return (
        np.array([q]), np.array([norm * facts.repeats]),
        drawn * np.array(rho) + first.bias_std**2, np.full(M, norm * facts.shared),
        zero, zero, np.array(weight) / sum(weight), np.array(same),
    )  # fmt: skip


def _points(
    first: Layer, facts: Facts
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """Binary data: every standing-in point, and all pairs of them."""
    x = np.array(facts.inputs)
    S = len(x)
    k = first.weight**2 * x @ x.T + first.bias_std**2
    left, right = (index.ravel() for index in np.indices((S, S)))
    y = np.array(facts.labels)
    return (
        np.diag(k).copy(), np.zeros(S), k.ravel(), np.zeros(S * S), left, right,
        np.full(S * S, 1 / S**2), (y[left] == y[right]).astype(float),
    )  # fmt: skip


def _through(
    kind: str, layer: Layer, above: Layer, q: Array, own: Array, k: Array, common: Array,
    left: Array, right: Array,
) -> tuple[Array, Array, Array, Array, tuple[float, float, float]]:  # fmt: skip
    """One activation and the linear layer above it."""
    x, w = normal_nodes()
    offset, share = np.zeros(1), np.ones(1)
    if layer.bias_half_width > 0:
        offset, share = uniform_nodes(24 if len(q) == 1 else 6)
    offset = layer.bias_mean + layer.bias_half_width * offset

    def values(variance: Array) -> Array:  # (..., B, X)
        return activate(kind, np.sqrt(variance)[..., None, None] * x + offset[:, None])

    a = values(q)
    a2 = a * a
    second = share @ (a2 @ w).T  # (S,)
    # at the mean variance: sensitivity to it, and the series of phi and phi^2
    slope = share @ (a2 @ (w * (x * x - 1))).T / 2  # d second / d ln q
    table = hermite_table()
    c, c2 = a @ table, a2 @ table  # (S, B, N)
    rho = _correlation(k, q, left, right)
    fourth = share @ ((a2 * a2) @ w).T
    cross = _pairs(c, left, right, rho, a2 @ w, share)
    cross2 = _pairs(c2, left, right, rho, (a2 * a2) @ w, share)
    # the spread of the variance over draws moves the mean too
    g, v = scale_nodes(np.maximum(own, 0.0), 7)  # (S, G)
    each = values(q[:, None] * g)
    each2 = each * each
    m2 = (each2 @ w) @ share  # (S, G)
    m4 = ((each2 * each2) @ w) @ share
    mean = m2 @ v
    H, n = layer.fan_out, max(layer.fan_in, layer.fan_out)
    scatter = (m2 - mean[:, None]) ** 2 @ v + (m4 @ v - m2**2 @ v) / H
    scatter_pair = (cross2 - second[left] * second[right]) / H
    if layer.orthogonal:  # sum h^2 is fixed: take out what it explains of the units' scatter
        scatter = scatter - 2 * slope**2 / n
        scatter_pair = scatter_pair - 2 * slope[left] * slope[right] * rho**2 / n
    gain = above.weight**2 * H
    size = gain * mean + above.bias_std**2
    safe = np.maximum(size, 1e-300)
    lift = np.sqrt(
        np.divide(mean[left] * mean[right], second[left] * second[right],
                  out=np.ones_like(k), where=second[left] * second[right] > 0)
    )  # fmt: skip
    covariance = gain * cross * lift + above.bias_std**2
    relative = (gain / safe) ** 2 * np.maximum(scatter, 0.0)
    together = (gain / safe[left]) * (gain / safe[right]) * (
        slope[left] * slope[right] * common + scatter_pair
    )
    first = (a @ w) @ share
    report = (
        math.sqrt(float(q.mean()) + layer.bias_half_width**2 / 3),
        math.sqrt(max(float(mean.mean() - first.mean() ** 2), 0.0)),
        _saturated(kind, a, w, share),
    )
    return size, relative, covariance, together, report


def _pairs(
    c: Array, left: Array, right: Array, rho: Array, square: Array, share: Array
) -> Array:
    """E f(h) f(h') for every pair, averaged over the bias they share; (M,)."""
    out = np.zeros(len(rho))
    for b, part in enumerate(share):
        total = np.sqrt(square[left, b] * square[right, b])
        same_sign = (c[left, b] * c[right, b]).sum(-1)
        out += part * correlate(c[left, b], c[right, b], rho, np.maximum(total, same_sign))
    return out


def _saturated(kind: str, a: Array, w: Array, share: Array) -> float:
    """Share of units past |tanh| = .97, or of relu units that are off."""
    if kind == "tanh":
        return float((((np.abs(a) > 0.97) @ w) @ share).mean())
    return float((((a <= 0) @ w) @ share).mean()) if kind == "relu" else 0.0
