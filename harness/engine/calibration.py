"""Losses compared fairly: likelihood after the link and temperature that suit a run's outputs.

A network trained by squared error or by a hinge does not put log-probabilities out, so the NLL of
softmax(z) is no verdict on it. Here each run is first given its best reading: a link g and one
temperature T, p = softmax(g(z) / T), fitted on the first half of the validation words; the NLL is
then that of the other half, on which nothing was fitted. Needs numpy alone.

Links and their codes (metric calibration/link); each loss says which are tried for it:
    0 softmax   g = z               every loss
    1 clip      g = log max(z, eps) squared error: at T = 1 it is clip(z, eps) / sum
    2 sigmoid   g = log sigmoid(z)  one-vs-rest: at T = 1 it is the normalised sigmoid

Temperature scaling: Guo et al. 2017, arXiv:1706.04599, where T is fitted on held-out data as well.
Axes: C contexts, V symbols, P distinct (context, target) pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.components.losses import LINKS

if TYPE_CHECKING:
    from harness.components.losses import LossSpec
    from harness.data.dataset import Dataset

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPS = 0.005  # least estimate of a probability; from .003 to .01 raw squared error on names gives
# the same NLL to .01 nats, at .001 and .03 it is .02 and .05 worse
T_LOW, T_HIGH = 1e-3, 1e3  # a fit at such a bound means that the outputs say nothing
TOLERANCE = 1e-5  # of log T: Newton then errs by its square
# One fitted number costs 1 / (2 n) nats an example on new data when n were fitted on: with fewer
# than 100 that is more than the .005 by which validation must rise to count as overfitting.
LEAST = 100
PRIOR = 1.0  # examples of no class in particular that are added to those fitted on, see `fit`


@dataclass(frozen=True)
class Pairs:
    """Part of a split: distinct (context row, target) pairs with their counts."""

    row_P: Ints
    target_P: Ints
    count_P: Floats

    @cached_property
    def n(self) -> float:
        """Examples."""
        return float(self.count_P.sum())

    @cached_property
    def contexts(self) -> tuple[Ints, Ints]:
        """The distinct rows, and the place of each pair's among them."""
        return np.unique(self.row_P, return_inverse=True)


@dataclass(frozen=True)
class Calibration:
    """A fitted reading of a run's outputs; nll (nats per character) is of what it was fitted on."""

    link: str
    temperature: float
    nll: float


def scores(z_CV: Floats, link: str) -> Floats:
    """g(z), whose softmax at temperature 1 is the link's distribution over the V symbols."""
    if link == "clip":
        return np.log(np.maximum(z_CV, EPS))
    if link == "sigmoid":
        return -np.logaddexp(0.0, -z_CV)
    return z_CV


def nll(z_CV: Floats, pairs: Pairs, link: str = "softmax", temperature: float = 1.0) -> float:
    """Mean negative log likelihood of softmax(g(z) / T) over the pairs, nats per character."""
    return _Curve(z_CV, pairs, link).at(1.0 / temperature)[0]


def fit(
    z_CV: Floats, pairs: Pairs, links: tuple[str, ...] = ("softmax",), prior: float = 0.0
) -> Calibration:
    """The link and the temperature in [1e-3, 1e3] with the least NLL; ties go to the first link.

    prior: so many further examples, spread over the contexts as the others are and evenly over the
    symbols. With them a half whose every example is told right does not drive T to 0, where one
    error on the other half would cost hundreds of nats.
    """
    found = [_fit_temperature(_Curve(z_CV, pairs, link, prior), link) for link in links]
    return min(found, key=lambda one: one.nll)


class _Curve:
    """NLL as a function of b = 1/T: sum_C share_C logsumexp(b g_C) - b mean g[target]; convex."""

    def __init__(self, z_CV: Floats, pairs: Pairs, link: str, prior: float = 0.0) -> None:
        row_C, place_P = pairs.contexts
        g_CV = scores(z_CV[row_C], link)
        self.g_CV = g_CV - g_CV.max(1, keepdims=True)  # 0 at most: exp cannot overflow
        self.n = pairs.n
        self.share_C = np.bincount(place_P, weights=pairs.count_P) / self.n
        target_P = self.g_CV[place_P, pairs.target_P]
        right = float((target_P * pairs.count_P).sum())
        if prior:
            right += prior * float((self.share_C * self.g_CV.mean(1)).sum())
        self.right = right / (self.n + prior)

    def at(self, b: float) -> tuple[float, float, float]:
        """NLL and its first two derivatives by b."""
        e_CV = np.exp(b * self.g_CV)
        total_C = e_CV.sum(1)
        eg_CV = e_CV * self.g_CV
        mean_C = eg_CV.sum(1) / total_C
        square_C = (eg_CV * self.g_CV).sum(1) / total_C
        value = float((self.share_C * np.log(total_C)).sum()) - b * self.right
        slope = float((self.share_C * mean_C).sum()) - self.right
        return value, slope, float((self.share_C * (square_C - mean_C**2)).sum())


def _fit_temperature(curve: _Curve, link: str) -> Calibration:
    """Newton on log b, held inside a bracket that every slope narrows."""
    low, high = -math.log(T_HIGH), -math.log(T_LOW)
    x = 0.0
    for _ in range(100):
        _, slope, bend = curve.at(math.exp(x))
        if slope == 0.0:
            break  # flat (all outputs equal), or there
        low, high = (x, high) if slope < 0 else (low, x)
        b = math.exp(x)
        # d/dx = b slope, d2/dx2 = b slope + b^2 bend; the latter alone where the sum is not convex
        curvature = b * bend + max(slope, 0.0)
        step = -slope / curvature if curvature > 0 else math.copysign(1.0, -slope)
        after = x + step
        if not low < after < high:
            after = (low + high) / 2
        done = abs(after - x) < TOLERANCE
        x = after
        if done:
            break
    return Calibration(link, math.exp(-x), curve.at(math.exp(x))[0])


@lru_cache(maxsize=8)
def halves(data: Dataset) -> tuple[Pairs, Pairs] | None:
    """Pairs of the first half of the validation words and of the rest; rows as in val.contexts_CT.

    Words stand in shuffled order, so the halves are alike. None where a half would be empty. A
    binary source is cut in the middle of its points.
    """
    val = data.val
    words = len(val.words) // 2
    cut = sum(len(word) + 1 for word in val.words[:words]) if val.words else val.n // 2
    if not 0 < cut < val.n:
        return None
    parts = []
    for part in (slice(0, cut), slice(cut, None)):
        if data.kind == "binary":
            row_P, target_P = val.context_N[part], (val.y_N[part] + 1) // 2
            parts.append(Pairs(row_P, target_P, np.ones(len(row_P))))
            continue
        key_P, count_P = np.unique(val.context_N[part] * data.V + val.y_N[part], return_counts=True)
        parts.append(Pairs(key_P // data.V, key_P % data.V, count_P.astype(np.float64)))
    return parts[0], parts[1]


Parts = tuple[Pairs, Pairs, Pairs]


@lru_cache(maxsize=8)
def parts_of(data: Dataset, names: tuple[str, ...]) -> Parts | None:
    """The halves of validation, and training, over the contexts of these splits' evaluation set.

    Binary labels are classes 0 and 1. None where there is too little validation to fit on, or a
    split is not in the set.
    """
    from harness.engine.splits import evaluation_set  # torch

    two = halves(data)
    if two is None or too_few(data) or not {"train", "val"} <= set(names):
        return None
    splits = evaluation_set(data, names, "cpu").splits
    row_C = np.zeros(len(data.val.contexts_CT), dtype=np.int64)  # own context -> merged row
    own_P = data.val.context_N if data.kind == "binary" else data.val.pair_context_P
    row_C[own_P] = splits["val"].row_P.numpy()
    first, second = (Pairs(row_C[p.row_P], p.target_P, p.count_P) for p in two)
    return first, second, _learned(data, splits["train"])


def calibrated(loss: LossSpec, outputs: Any, parts: Sequence[Pairs] | None) -> dict[str, float]:
    """The metrics of one run's calibration; {} where outputs are not finite, or there are no parts.

    outputs: (C, V) tensor over the contexts of an evaluation set. parts: the half of validation
    that a reading is fitted on, the other half, and training, where its NLL is wanted too.
    """
    z_CV = _outputs(loss, outputs)
    if parts is None or not np.isfinite(z_CV).all():
        return {}
    best = fit(z_CV, parts[0], loss.links, PRIOR)
    return named(
        best.link, best.temperature, nll(z_CV, parts[1]),
        [nll(z_CV, part, best.link, best.temperature) for part in parts[1:]],
    )  # fmt: skip


def named(link: str, temperature: float, raw: float, after: Sequence[float]) -> dict[str, float]:
    """A reading's metrics, from the NLL of validation's second half before it, and after it.

    nll_calibrated/val (nats per character, second half of validation), calibration/temperature,
    calibration/link (its place in LINKS), calibration/gain (what the same half's NLL fell by), and,
    where `after` has a second value, nll_calibrated/train with the reading fitted on validation.
    """
    return {
        **dict(zip(("nll_calibrated/val", "nll_calibrated/train"), after, strict=False)),
        "calibration/temperature": temperature,
        "calibration/link": float(LINKS.index(link)),
        "calibration/gain": raw - after[0],
    }


@lru_cache(maxsize=8)
def too_few(data: Dataset) -> str:
    """Why outputs on these data are not calibrated; "" where they can be."""
    parts = halves(data)
    n = 0 if parts is None else int(parts[0].n)
    what = "points" if data.kind == "binary" else "characters"
    if n >= LEAST:
        return ""
    return f"not calibrated: half of validation has {n} {what}, fewer than {LEAST}"


def read_on_train(
    loss: LossSpec, data: Dataset, logits: Any, pairs: Mapping[str, Any]
) -> float | None:
    """Training NLL after the reading that suits the training split itself, nats per character.

    For the verdict alone, where validation has too few examples to fit on. None where outputs are
    not finite.
    """
    z_CV, learned = _outputs(loss, logits), _learned(data, pairs["train"])
    if not np.isfinite(z_CV).all():
        return None
    best = fit(z_CV, learned, loss.links, PRIOR)
    return nll(z_CV, learned, best.link, best.temperature)


def _outputs(loss: LossSpec, logits: Any) -> Floats:
    z_CV: Floats = logits.detach().cpu().numpy()
    return (loss.columns or _two_columns)(z_CV[:, 0]) if loss.kind == "binary" else z_CV


def _learned(data: Dataset, train: Any) -> Pairs:
    """The training split's pairs, with labels -1 and +1 as classes 0 and 1."""
    target_P = train.target_P.cpu().numpy()
    target_P = (target_P + 1) // 2 if data.kind == "binary" else target_P
    return Pairs(train.row_P.cpu().numpy(), target_P, train.count_P.cpu().numpy())


def _two_columns(z_C: Floats) -> Floats:
    """One binary output as two classes (-1, +1), so that the links read it as they read others."""
    return np.stack([-z_C / 2, z_C / 2], 1)


def told(metrics: Mapping[str, float]) -> str:
    """Link and temperature in words, such as "softmax, T=1.09"; empty where nothing was fitted."""
    if "calibration/link" not in metrics:
        return ""
    link = LINKS[int(metrics["calibration/link"])]
    return f"{link}, T={metrics['calibration/temperature']:.3g}"
