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

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.components.activations import ACTIVATIONS, ActivationSpec
from harness.numerics.quadrature import (
    Array,
    correlate,
    hermite_table,
    normal_nodes,
    scale_nodes,
    uniform_nodes,
)  # fmt: skip
from harness.theory.layer_laws import Layer, embedding_std, layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.config.groups import Model
    from harness.config.run import ResolvedInit
    from harness.theory.overlap import Facts

OVERFLOW = 1e72  # a variance whose activations leave float32


@dataclass(frozen=True)
class State:
    """What a layer passes on, per number: mean squares, products, and their spread over draws.

    square (S,): E a^2; scatter (S,): variance over draws of the mean of a^2 over the layer;
    product (M,): E a a'; together (M,): covariance over draws of the two means of squares.
    """

    square: Array
    scatter: Array
    product: Array
    together: Array


@dataclass(frozen=True)
class Pairs:
    """Pairs of examples (M,): weight, summing to 1; their indices; positions that agree."""

    weight: Array
    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    level: NDArray[np.int64]


class Preactivations(NamedTuple):
    """Second moments of a layer's preactivations, and how they vary over draws.

    q (S,) the variance of each example's; own (S,) the relative variance of q; k (M,) the
    covariance of two examples'; common (M,) the relative covariance of their q.
    """

    q: Array
    own: Array
    k: Array
    common: Array


@dataclass(frozen=True)
class Signal:
    """The logits' second-order law at step 0; a uniform output bias is apart, in `output`.

    variance (S,): E s^2 over draws, normal parts alone; own (S,): relative variance of s^2 over
    draws; covariance (M,) of two examples' logits; common (M,): relative covariance of their s^2.
    table: (layer, preactivation std, activation std, saturated share) of each hidden layer.
    """

    variance: Array
    own: Array
    covariance: Array
    common: Array
    pairs: Pairs
    output: Layer
    table: tuple[tuple[str, float, float, float], ...]
    overflow: bool
    dead: bool  # no weight gets a gradient: the last layer's inputs and what leads back are 0


def propagate(
    model: Model, init: ResolvedInit, facts: Facts, *, normalised: bool = False
) -> Signal:
    """Carry variances, correlations and their spread to the logits.

    normalised: the batch norm of training mode, which makes every hidden variance 1. Configs that
    differ in the output layer alone share the work below it.
    """
    output = layers(model, init, facts)[-1]
    below = dataclasses.replace(init, output_scale=1.0, output_bias=init.bias)
    state, pairs, table, overflow = _features(model, below, facts, normalised)
    q, own, k, common = _linear(output, state, pairs)
    overflow |= bool(q.max(initial=0.0) > OVERFLOW)
    if output.orthogonal:  # |z| is fixed by the columns' length: less spread than normal weights
        drawn = np.maximum(1 - output.bias.std**2 / np.maximum(q, 1e-300), 0.0)
        n = max(output.fan_in, output.fan_out)
        own = own - 2 / n * drawn**2
        both = drawn[pairs.left] * drawn[pairs.right]
        common = common - 2 / n * both * _correlation(k, q, pairs) ** 2
    # a unit that passes nothing back at 0, as a ReLU, stays there
    shut = bool(model.hidden) and ACTIVATIONS.get(model.activation).shut_at_zero
    closed = output.weight == 0 or shut
    dead = closed and not state.square.any()
    return Signal(q, own, k, common, pairs, output, table, overflow, dead)


@lru_cache(maxsize=64)
def _features(
    model: Model, init: ResolvedInit, facts: Facts, normalised: bool
) -> tuple[State, Pairs, tuple[tuple[str, float, float, float], ...], bool]:
    """Everything below the output layer."""
    state, pairs = (
        _points(facts)
        if facts.kind == "binary"
        else _contexts(facts, embedding_std(init), model.n_embd, init.spec.embedding_kurtosis)
    )
    table, overflow = [], False
    phi = ACTIVATIONS.get(model.activation)
    for layer in layers(model, init, facts)[:-1]:
        q, own, k, common = _linear(layer, state, pairs)
        if normalised:
            k, q = _correlation(k, q, pairs), np.ones_like(q)
            own, common = np.zeros_like(own), np.zeros_like(common)
        if overflow or q.max(initial=0.0) > OVERFLOW:  # nothing is known from here on
            overflow, q, k = True, np.ones_like(q), np.ones_like(k)
            state, _ = _activated(phi, layer, Preactivations(q, own, k, common), pairs)
            continue
        state, row = _activated(phi, layer, Preactivations(q, own, k, common), pairs)
        table.append((layer.name, *row))
    return state, pairs, tuple(table), overflow


def _correlation(k: Array, q: Array, pairs: Pairs) -> Array:
    size = np.sqrt(q[pairs.left] * q[pairs.right])
    return np.clip(np.divide(k, size, out=np.ones_like(k), where=size > 0), -1.0, 1.0)


def _contexts(facts: Facts, std: float, D: int, excess: float) -> tuple[State, Pairs]:
    """Class data: one standing-in example, pairs by the number m of positions that agree.

    Rows of one finite embedding are not orthogonal: the inputs' correlation scatters around m/T
    by about sqrt((T - m) / D) / T; three nodes for each m stand for that. The variance of a
    squared entry is (2 + excess kurtosis) std^4: 2 for a normal embedding, .8 for a uniform one.
    """
    T, square = facts.block, std**2
    kurtosis = 2.0 + excess
    rho, weight, level = [], [], []
    assert facts.overlap is not None
    for m in range(T + 1):
        f = m / T
        scatter = math.sqrt((T - m) / (D * T * T) + kurtosis / (D * T) * f * (1 - f))
        nodes = ((0.0, 2 / 3), (-math.sqrt(3), 1 / 6), (math.sqrt(3), 1 / 6))
        for x, w in nodes if m < T else ((0.0, 1.0),):
            rho.append(min(max(f + x * scatter, -1.0), 1.0))
            weight.append(w * float(facts.overlap[m]))
            level.append(m)
    M = len(rho)
    norm = kurtosis / (D * T * T) * square**2  # variance of the mean square, per coincidence
    zero = np.zeros(M, dtype=np.int64)
    state = State(
        np.array([square]),
        np.array([norm * facts.repeats]),
        square * np.array(rho),
        np.full(M, norm * facts.shared),
    )
    return state, Pairs(np.array(weight) / sum(weight), zero, zero, np.array(level))


def _points(facts: Facts) -> tuple[State, Pairs]:
    """Binary data: every standing-in point, and all pairs of them."""
    x = facts.inputs
    assert x is not None
    left, right = np.triu_indices(len(x))
    share = facts.weights
    assert share is not None
    weight = np.where(left == right, 1.0, 2.0) * share[left] * share[right]
    product = (x[left] * x[right]).mean(1)
    state = State((x * x).mean(1), np.zeros(len(x)), product, np.zeros(len(left)))
    return state, Pairs(weight, left, right, np.zeros_like(left))


def _linear(layer: Layer, state: State, pairs: Pairs) -> Preactivations:
    """A layer's affine map of second moments."""
    gain, bias = layer.weight**2 * layer.fan_in, layer.bias.std**2
    q = gain * state.square + bias
    share = np.divide(gain, q, out=np.zeros_like(q), where=q > 0)  # nothing varies where q is 0
    own = share**2 * np.maximum(state.scatter, 0.0)
    common = share[pairs.left] * share[pairs.right] * state.together
    return Preactivations(q, own, gain * state.product + bias, common)


def _activated(
    phi: ActivationSpec, layer: Layer, pre: Preactivations, pairs: Pairs
) -> tuple[State, tuple[float, float, float]]:
    """One layer's activations from its preactivations."""
    q, own, k, common = pre
    x, w = normal_nodes()
    left, right = pairs.left, pairs.right
    offset, share = np.zeros(1), np.ones(1)
    if layer.bias.half_width > 0:
        offset, share = uniform_nodes(24 if len(q) == 1 else 6)
    offset = layer.bias.mean + layer.bias.half_width * offset

    def values(variance: Array) -> Array:  # (..., B, X)
        return phi.values(np.sqrt(variance)[..., None, None] * x + offset[:, None])

    a = values(q)
    a2 = a * a
    second = (a2 @ w) @ share  # (S,)
    # at the mean variance: sensitivity to it, and the series of phi and phi^2
    slope = (a2 @ (w * (x * x - 1))) @ share / 2  # d second / d ln q
    table = hermite_table()
    rho = _correlation(k, q, pairs)
    product = _meet(a @ table, a2 @ w, share, rho, pairs)
    product2 = _meet(a2 @ table, (a2 * a2) @ w, share, rho, pairs)
    # the spread of the variance over draws moves the mean too
    g, v = scale_nodes(np.maximum(own, 0.0), 7) if own.any() else (np.ones((1, 1)), np.ones(1))
    each2 = values(q[:, None] * g) ** 2  # (S, G, B, X)
    m2 = (each2 @ w) @ share
    m4 = ((each2 * each2) @ w) @ share
    mean = m2 @ v
    H, n = layer.fan_out, max(layer.fan_in, layer.fan_out)
    scatter = (m2 - mean[:, None]) ** 2 @ v + (m4 @ v - m2**2 @ v) / H
    together = slope[left] * slope[right] * common
    together += (product2 - second[left] * second[right]) / H
    if layer.orthogonal:  # sum h^2 is fixed: take out what it explains of the units' scatter
        scatter = scatter - 2 * slope**2 / n
        together -= 2 * slope[left] * slope[right] * rho**2 / n
    ratio = np.divide(mean, second, out=np.ones_like(mean), where=second > 0)
    lift = np.sqrt(ratio[left] * ratio[right])
    report = (
        math.sqrt(float(q.mean()) + layer.bias.half_width**2 / 3),
        math.sqrt(max(float(mean.mean() - ((a @ w) @ share).mean() ** 2), 0.0)),
        _saturated(phi, a, np.sqrt(q)[..., None, None] * x + offset[:, None], w, share),
    )
    return State(mean, scatter, product * lift, together), report


def _meet(c: Array, square: Array, share: Array, rho: Array, pairs: Pairs) -> Array:
    """E f(h) f(h') for every pair from series c (S, B, N), over the bias they share; (M,)."""
    left, right = pairs.left, pairs.right
    out = np.zeros(len(rho))
    for b, part in enumerate(share):
        known = (c[left, b] * c[right, b]).sum(-1)
        total = np.maximum(np.sqrt(square[left, b] * square[right, b]), known)
        out += part * correlate(c[left, b], c[right, b], rho, total)
    return out


def _saturated(phi: ActivationSpec, a: Array, h: Array, w: Array, share: Array) -> float:
    """Share of units that the activation calls saturated."""
    return 0.0 if phi.saturated is None else float(((phi.saturated(a, h) @ w) @ share).mean())
