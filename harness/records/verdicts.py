"""What the curves of one run say: gap, best step, onset of overfitting, and a verdict.

Everything is in nats per character (per example for binary data) on the common yardstick `nll`, the
cross-entropy of softmax(logits) on whole splits. Every threshold is here; docs/comparing.md
explains them. Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.components.losses import LOSSES
from harness.numerics.digits import number

Series = Mapping[str, tuple[ArrayLike, ArrayLike]]

ONSET_MARGIN = 0.005  # nats; validation must rise by this
ONSET_EVALUATIONS = 3  # and stay there for this many evaluations, up to the last one
UNDERFIT_SHARE = 0.5  # of the way from the unigram to the context floor, on training data
UNDERFIT_GAIN = 0.1  # of the unigram's nll, where the context floor is not known
NO_GAP = 0.1  # nats; a smaller val - train gap is nothing to speak of
MEMORISED_SHARE = 0.5  # of what was learned in training; a larger gap is mostly memory

VERDICTS = ("underfit", "fit", "memorising", "overfit", "diverged")


def judge(
    series: Series,
    *,
    unigram: float | None,
    context_floor: float | None,
    diverged_step: int | None,
    calibrated: tuple[float | None, float | None] | None = None,
) -> tuple[str, dict[str, float]]:
    """Verdict and the metrics behind it; a metric that cannot be known is absent.

    series: name -> (steps, values), of which nll/train, nll/val, loss/train, loss/val are read.
    unigram: training nll of symbol frequencies; context_floor: training nll of raw counts of the
    whole context, the least any model of that context can reach. Without validation examples
    there is no nll/val, and only training is judged.
    calibrated: final nll (train, val) after the fitted link, to be given for a loss whose raw
    outputs are no log-probabilities (mean squared error): the pair replaces the last nll/train and
    nll/val, and what of it is None is not judged.

    The first that holds:
    diverged: `diverged_step` is given, or there is no finite final nll.
    overfit: validation has left its minimum by more than .005, stayed there for the last 3
    evaluations or more, while training loss is no higher than it was at that minimum. The standard
    error of nll/val is no part of the margin: the same words are compared with themselves, so that
    most of it cancels.
    underfit: training is no better than the unigram; or less than half way from it to the context
    floor, with no gap to speak of.
    memorising: validation has not turned, but the gap is wider than half of what training gained
    on the unigram: most of what was learned does not hold on new words.
    fit: none of these.
    Onset after Prechelt 1998 ("Early stopping - but when?"), with an absolute margin.
    """
    metrics: dict[str, float] = {}
    train, val = _finite(series, "nll/train"), _finite(series, "nll/val")
    for kind in ("loss", "nll"):
        pair = _finite(series, f"{kind}/train"), _finite(series, f"{kind}/val")
        gap = _final_gap(*pair)
        if gap is not None:
            metrics[f"gap/{kind}"] = gap
    onset = None
    if len(val[0]):
        best = int(np.argmin(val[1]))  # the first of equal minima
        metrics["best/nll_val"] = float(val[1][best])
        metrics["best/step"] = float(val[0][best])
        metrics["overfit/excess"] = float(val[1][-1] - val[1][best])
        onset = _onset(train, val, ONSET_MARGIN)
        if onset is not None:
            metrics["overfit/onset_step"] = float(onset)
    known = len(train[0]) and (len(val[0]) or "nll/val" not in series)
    if diverged_step is not None or not known or not _ends_finite(series):
        for name in ("gap/loss", "gap/nll", "overfit/excess", "overfit/onset_step"):
            metrics.pop(name, None)  # of a run that blew up they say nothing
        return "diverged", metrics
    if onset is not None:
        return "overfit", metrics
    learned: float | None = float(train[1][-1])
    distance: float | None = metrics.get("gap/nll")
    if calibrated is not None:
        learned, held = calibrated
        distance = None if learned is None or held is None else held - learned
    return _at_the_end(learned, distance, unigram, context_floor), metrics


def _at_the_end(
    train: float | None, gap: float | None, unigram: float | None, floor: float | None
) -> str:
    """underfit, memorising or fit, by the last values."""
    if train is None or unigram is None:
        return "fit"
    level = gap is None or gap < NO_GAP
    if train >= unigram or (_learned_little(train, unigram, floor) and level):
        return "underfit"
    if gap is not None and not level and gap > MEMORISED_SHARE * (unigram - train):
        return "memorising"
    return "fit"


def words(row: Mapping[str, Any]) -> str:
    """A run's verdict with the number that decided it, such as "fit, gap 0.31".

    row: verdict, loss.name and metrics, as `records.table_row` gives them. Of a loss whose outputs
    are no log-probabilities the numbers are those after calibration, and are called so.
    """
    verdict = str(row["verdict"])
    raw = _log_probabilities(row.get("loss.name"))
    train, held = (
        _known(row, f"{'nll' if raw else 'nll_calibrated'}/{s}") for s in ("train", "val")
    )
    step, excess = _known(row, "overfit/onset_step"), _known(row, "overfit/excess")
    gap = _known(row, "gap/nll") if raw else None
    if not raw and train is not None and held is not None:
        gap = held - train
    kind = "" if raw else "calibrated "
    if verdict == "overfit" and step is not None and excess is not None:
        return f"overfit, {number(excess, 2)} above its best at step {step:.0f}"
    if verdict == "underfit" and train is not None:
        return f"underfit, {kind}training nll {number(train)}"
    if verdict in ("fit", "memorising") and gap is not None:
        return f"{verdict}, {kind}gap {number(gap, 2)}"
    return verdict


def _log_probabilities(loss: Any) -> bool:
    return loss not in LOSSES or LOSSES.get(loss).log_probabilities


def _known(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, (int, float)) and value == value else None


Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


def _finite(series: Series, name: str) -> Curve:
    """The finite points of one curve, in order of step; empty where there is none."""
    steps, values = series.get(name, ((), ()))
    steps_N, values_N = np.asarray(steps, np.int64), np.asarray(values, np.float64)
    keep = np.isfinite(values_N)
    return steps_N[keep], values_N[keep]


def _ends_finite(series: Series) -> bool:
    names = [name for name in ("nll/val", "nll/train") if name in series]
    ends = [np.asarray(series[name][1], np.float64)[-1] for name in names]
    return bool(np.isfinite(ends).all())


def _final_gap(train: Curve, val: Curve) -> float | None:
    """Validation minus training at the last step that both have; None where they share none."""
    shared = np.intersect1d(train[0], val[0])
    if not len(shared):
        return None
    at = shared[-1]
    return float(val[1][val[0] == at][-1] - train[1][train[0] == at][-1])


def _onset(train: Curve, val: Curve, margin: float) -> int | None:
    """The best-validation step if validation left it for good while training did not worsen."""
    best = int(np.argmin(val[1]))
    above = val[1] > val[1][best] + margin
    stays = len(above) - (int(np.flatnonzero(~above)[-1]) + 1)  # trailing evaluations, all above
    if stays < ONSET_EVALUATIONS or not len(train[0]):
        return None
    at_best = int(np.argmin(np.abs(train[0] - val[0][best])))
    if train[1][-1] > train[1][at_best]:
        return None  # both rise: training itself went wrong, which is not memorising
    return int(val[0][best])


def _learned_little(train: float, unigram: float, floor: float | None) -> bool:
    if floor is None or floor >= unigram:
        return train > unigram * (1.0 - UNDERFIT_GAIN)
    return train > unigram - UNDERFIT_SHARE * (unigram - floor)
