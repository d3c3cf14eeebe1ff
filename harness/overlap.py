"""What the theory must know of the data: how often two examples share symbols, and targets.

Two contexts that agree at m of T positions start with inputs of correlation m / T, because an
agreeing position reads the same embedding row through the same weights. How far the losses of
all examples move together over draws of a network follows from how often each m occurs.

Axes: N examples, T context, V vocabulary, P distinct (context, target) pairs, M overlaps 0 ... T.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.quadrature import Array

if TYPE_CHECKING:
    from harness.dataset import Dataset

Codes = NDArray[np.int64]
EXACT_WORK = 4_000_000  # subsets of positions times pairs that are counted exactly
SAMPLE = 1500  # examples compared with each other otherwise, evenly spaced in sorted order
POINTS = 160  # points of a binary source that stand for all of them


@dataclass(frozen=True)
class Facts:
    """The training split as the theory sees it; tuples, so that equal data share cached work."""

    kind: str
    V: int
    block: int
    targets: tuple[float, ...]  # share of each target; binary: of -1 and of +1
    log_unigram: tuple[float, ...]  # the bias that init.output_bias=log_unigram sets
    overlap: tuple[float, ...] = ()  # (M,) probability that two examples agree at m positions
    same: tuple[float, ...] = ()  # (M,) probability of a common target, given m
    repeats: float = 1.0  # mean over examples of sum_a n_a^2, n_a = times symbol a stands in one
    shared: float = 0.0  # the same between two examples: sum_a (mean n_a)^2
    inputs: tuple[tuple[float, ...], ...] = ()  # binary: standing-in points
    labels: tuple[int, ...] = ()
    examples: int = 0


@lru_cache(maxsize=16)
def facts(data: Dataset) -> Facts:
    """Facts of a data set's training split, exact but for long contexts (see `overlaps`)."""
    train = data.train
    targets = tuple(float(p) for p in data.unigram)
    if data.kind == "binary":
        keep = np.linspace(0, train.n - 1, min(POINTS, train.n)).round().astype(int)
        order = np.lexsort((train.x_NT[:, 0], train.y_N))[keep]  # even over labels and place
        return Facts(
            kind="binary", V=1, block=int(train.x_NT.shape[1]), targets=targets, log_unigram=(),
            inputs=tuple(tuple(float(v) for v in row) for row in train.x_NT[order]),
            labels=tuple(int(y) for y in train.y_N[order]), examples=train.n,
        )  # fmt: skip
    # a symbol that training never shows counts as half an example there
    logs = tuple(math.log(max(p, 0.5 / max(train.n, 1))) for p in targets)
    rows_PT = train.contexts_CT[train.pair_context_P]
    weight_P = train.pair_count_P / train.n
    probability, same = overlaps(rows_PT, train.pair_target_P, weight_P, data.V)
    repeats, shared = _repeats(rows_PT, weight_P, data.V)
    return Facts(
        kind="classes", V=data.V, block=rows_PT.shape[1], targets=targets, log_unigram=logs,
        overlap=tuple(probability), same=tuple(same), repeats=repeats, shared=shared,
        examples=train.n,
    )  # fmt: skip


def overlaps(rows_PT: Codes, target_P: Codes, weight_P: Array, V: int) -> tuple[Any, Any]:
    """(probability (M,), chance of one target (M,)) for two examples drawn by weight.

    Exact by inclusion and exclusion over subsets of positions while that is cheap; beyond (long
    contexts of large data) from all pairs among 1,500 evenly spaced examples, the share of equal
    contexts still exact.
    """
    P, T = rows_PT.shape
    if 2**T * P <= EXACT_WORK:
        agree, both = np.zeros(T + 1), np.zeros(T + 1)
        for size in range(T + 1):
            for places in itertools.combinations(range(T), size):
                key = _ranks(rows_PT[:, list(places)], V)
                agree[size] += float((np.bincount(key, weight_P) ** 2).sum())
                key = _ranks(np.column_stack([key, target_P]), max(V, int(key.max()) + 1))
                both[size] += float((np.bincount(key, weight_P) ** 2).sum())
        probability = _exactly(agree)
        same = np.divide(_exactly(both), probability, out=np.zeros(T + 1), where=probability > 1e-12)
        return probability, np.clip(same, 0.0, 1.0)
    ends = np.cumsum(weight_P)
    pick = np.searchsorted(ends, (np.arange(SAMPLE) + 0.5) / SAMPLE).clip(max=P - 1)
    rows, target = rows_PT[pick], target_P[pick]
    count = np.zeros((SAMPLE, SAMPLE), dtype=np.int64)
    for column in rows.T:
        count += column[:, None] == column
    apart = count < T
    probability = np.bincount(count[apart], minlength=T + 1) / apart.sum()
    equal = (target[:, None] == target)[apart]
    hits = np.bincount(count[apart], equal, minlength=T + 1) / apart.sum()
    same = np.divide(hits, probability, out=np.zeros(T + 1), where=probability > 0)
    key = _ranks(rows_PT, V)
    identical = float((np.bincount(key, weight_P) ** 2).sum())
    probability *= 1 - identical
    probability[T] = identical
    joint = _ranks(np.column_stack([key, target_P]), max(V, int(key.max()) + 1))
    same[T] = float((np.bincount(joint, weight_P) ** 2).sum()) / identical
    return probability, same


def _exactly(agree: Array) -> Array:
    """From sums over subsets of size j of P(agree there) to P(agree at exactly m positions)."""
    T = len(agree) - 1
    out = [
        sum((-1) ** (j - m) * math.comb(j, m) * agree[j] for j in range(m, T + 1))
        for m in range(T + 1)
    ]
    return np.maximum(np.array(out), 0.0)


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
