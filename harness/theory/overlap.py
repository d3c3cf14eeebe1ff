"""What the theory must know of the data: how often two examples share symbols, and targets.

Two contexts that agree at m of T positions start with inputs of correlation m / T, because an
agreeing position reads the same embedding row through the same weights. How far the losses of
all examples move together over draws of a network follows from how often each m occurs.

Axes: S standing-in points, N examples, T context, V vocabulary, P distinct (context, target)
pairs, M overlaps 0 ... T.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from harness.components.biases import Targets
    from harness.data.dataset import Dataset
    from harness.numerics.quadrature import Array

Codes = NDArray[np.int64]
EXACT_WORK = 4_000_000  # subsets of positions times pairs that are counted exactly
SAMPLE = 1500  # examples compared with each other otherwise, evenly spaced in sorted order
GROUPS = 4096  # contexts whose targets are tabulated at a time
POINTS = 80  # points of a binary source that stand for all of them


@dataclass(frozen=True, eq=False)
class Facts:
    """The training split as the theory sees it; one object a data set, so it can key a cache."""

    kind: str
    V: int
    block: int
    targets: Array  # (V,) share of each target; binary: (2,) of -1 and of +1
    counted: Targets  # what a bias may know of them
    joint: Array | None = (
        None  # (M, V, V): two examples agree at m positions and have these targets
    )
    overlap: Array | None = None  # (M,) probability that two examples agree at m positions
    same: Array | None = None  # (M,) chance of one target, given m
    repeats: float = 1.0  # mean over examples of sum_a n_a^2, n_a = times symbol a stands in one
    shared: float = 0.0  # the same between two examples: sum_a (mean n_a)^2
    inputs: Array | None = None  # binary: (S, I) standing-in points
    labels: Array | None = None  # binary: (S,)
    weights: Array | None = None  # binary: (S,) sum to 1, each label its share of all examples


@lru_cache(maxsize=16)
def facts(data: Dataset) -> Facts:
    """Facts of a data set's training split, exact but for long contexts (see `overlaps`)."""
    train = data.train
    if data.kind == "binary":
        keep = np.linspace(0, train.n - 1, min(POINTS, train.n)).round().astype(int)
        order = np.lexsort((train.x_NT[:, 0], train.y_N))[keep]  # even over labels and place
        labels = train.y_N[order].astype(float)
        weights = np.zeros(len(labels))
        for label, share in zip((-1, 1), data.unigram, strict=True):
            here = labels == label
            weights[here] = share / max(int(here.sum()), 1)
        return Facts(
            kind="binary", V=1, block=int(train.x_NT.shape[1]), targets=data.unigram,
            counted=data.targets, inputs=train.x_NT[order].astype(float), labels=labels,
            weights=weights / weights.sum(),
        )  # fmt: skip
    rows_PT = train.contexts_CT[train.pair_context_P]
    weight_P = train.pair_count_P / train.n
    joint = overlaps(rows_PT, train.pair_target_P, weight_P, data.V)
    overlap = joint.sum((1, 2))
    one = np.trace(joint, axis1=1, axis2=2)
    repeats, shared = _repeats(rows_PT, weight_P, data.V)
    return Facts(
        kind="classes", V=data.V, block=rows_PT.shape[1], targets=data.unigram,
        counted=data.targets,
        joint=joint, overlap=overlap,
        same=np.divide(one, overlap, out=np.zeros_like(one), where=overlap > 1e-12),
        repeats=repeats, shared=shared,
    )  # fmt: skip


def overlaps(rows_PT: Codes, target_P: Codes, weight_P: Array, V: int) -> Array:
    """Probability (M, V, V) that two examples agree at m positions and have targets y and y'.

    Exact by inclusion and exclusion over subsets of positions while that is cheap; beyond (long
    contexts of large data) from all pairs among 1,500 evenly spaced examples, equal contexts
    still exact.
    """
    P, T = rows_PT.shape
    if 2**T * P <= EXACT_WORK:
        agree = np.zeros((T + 1, V, V))
        for size in range(T + 1):
            for places in itertools.combinations(range(T), size):
                agree[size] += _meetings(_ranks(rows_PT[:, list(places)], V), target_P, weight_P, V)
        exactly = [
            sum((-1) ** (j - m) * math.comb(j, m) * agree[j] for j in range(m, T + 1))
            for m in range(T + 1)
        ]
        return np.maximum(np.array(exactly), 0.0)
    pick = np.searchsorted(np.cumsum(weight_P), (np.arange(SAMPLE) + 0.5) / SAMPLE).clip(max=P - 1)
    rows, target = rows_PT[pick], target_P[pick]
    count = np.zeros((SAMPLE, SAMPLE), dtype=np.int64)
    for column in rows.T:
        count += column[:, None] == column
    key = (count * V + target[:, None]) * V + target
    apart = key[count < T]
    joint = np.bincount(apart, minlength=(T + 1) * V * V).reshape(T + 1, V, V) / len(apart)
    identical = _meetings(_ranks(rows_PT, V), target_P, weight_P, V)
    joint *= 1 - identical.sum()
    joint[T] = identical
    out: Array = joint
    return out


def _meetings(group_P: Codes, target_P: Codes, weight_P: Array, V: int) -> Array:
    """Probability (V, V) that two examples fall into one group, with these targets."""
    out = np.zeros((V, V))
    order = np.argsort(group_P, kind="stable")
    group, target, weight = group_P[order], target_P[order], weight_P[order]
    for low in range(0, int(group[-1]) + 1, GROUPS):
        part = slice(*np.searchsorted(group, (low, low + GROUPS)))
        key = (group[part] - low) * V + target[part]
        shares = np.bincount(key, weight[part], minlength=GROUPS * V).reshape(GROUPS, V)
        out += shares.T @ shares
    return out


def _ranks(rows: Codes, V: int) -> Codes:
    """Which of its distinct rows each row is."""
    key = np.zeros(len(rows), dtype=np.int64)
    size = 1
    for column in rows.T:
        if size > 2**62 // V:
            key = np.unique(key, return_inverse=True)[1]
            size = int(key.max()) + 1
        key = key * V + column
        size *= V
    out: Codes = np.unique(key, return_inverse=True)[1]
    return out


def _repeats(rows_PT: Codes, weight_P: Array, V: int) -> tuple[float, float]:
    """(mean of sum_a n_a^2 inside one context, sum_a (mean n_a)^2 between two)."""
    T = rows_PT.shape[1]
    equal = np.zeros(len(rows_PT))
    mean_V = np.zeros(V)
    for t in range(T):
        mean_V += np.bincount(rows_PT[:, t], weight_P, minlength=V)
        for other in range(T):
            equal += rows_PT[:, t] == rows_PT[:, other]
    return float(equal @ weight_P), float(mean_V @ mean_V)
