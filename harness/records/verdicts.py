"""What the curves of one run say: gap, best step, onset of overfitting, and a verdict.

Everything is in nats per character (per example for binary data) on the common yardstick `nll`, the
cross-entropy of softmax(logits) on whole splits. Every threshold is here; docs/comparing.md
explains them. Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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
NO_OWN_GAP = 0.1  # of the constant's loss, where the gap is in the run's own loss
CERTAIN = 10.0  # nats below the true source in all: a chance of less than 1 in 22,000

VERDICTS = ("unvalidated", "underfit", "fit", "memorising", "overfit", "diverged")


class Reading(NamedTuple):
    """What the outputs of a loss that are no log-probabilities come to at the end.

    train, val: nll after the fitted link, nats; None: not known. constant: the run's own loss where
    all outputs are the best constant, to be given where `val` is None, so that the gap between
    loss/train and loss/val has a measure.
    """

    train: float | None
    val: float | None
    constant: float | None = None


def judge(
    series: Series,
    *,
    unigram: float | None,
    context_floor: float | None,
    diverged_step: int | None,
    calibrated: Reading | None = None,
    evidence: float | None = None,
) -> tuple[str, dict[str, float]]:
    """Verdict and the metrics behind it; a metric that cannot be known is absent.

    series: name -> (steps, values), of which nll/train, nll/val, loss/train, loss/val are read.
    unigram: training nll of symbol frequencies; context_floor: training nll of raw counts of the
    whole context, the least any model of that context can reach.
    calibrated: to be given for a loss whose raw outputs are no log-probabilities (mean squared
    error): its values replace the last nll/train and nll/val. Where its `val` is None the gap is
    that of the run's own loss, measured by what training gained on the best constant.
    evidence: how many nats the training split costs less in all than under the source that it was
    drawn from, where that is known.

    The first that holds:
    diverged: `diverged_step` is given, or there is no finite final nll.
    overfit: validation has left its minimum by more than .005, stayed there for the last 3
    evaluations or more, while training loss is no higher than it was at that minimum. The standard
    error of nll/val is no part of the margin: the same words are compared with themselves, so that
    most of it cancels.
    memorising, proven: the evidence is above 10 nats: no model does that which has not seen the
    words, whatever the gap.
    underfit: training is no better than the unigram; or less than half way from it to the context
    floor, with no gap to speak of.
    unvalidated: there are no validation examples, so nothing says what holds on new ones.
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
    if evidence is not None and evidence > CERTAIN:
        return "memorising", metrics
    read = calibrated or Reading(float(train[1][-1]), float(val[1][-1]) if len(val[0]) else None)
    gap = read.val - read.train if read.val is not None and read.train is not None else None
    if _underfit(read.train, gap, unigram, context_floor):
        return "underfit", metrics
    if not len(val[0]):
        return "unvalidated", metrics
    if gap is not None and read.train is not None and unigram is not None:
        by_heart = gap >= NO_GAP and gap > MEMORISED_SHARE * (unigram - read.train)
    else:
        by_heart = _by_heart_in_its_own(series, metrics.get("gap/loss"), read.constant)
    return "memorising" if by_heart else "fit", metrics


def _underfit(
    train: float | None, gap: float | None, unigram: float | None, floor: float | None
) -> bool:
    if train is None or unigram is None:
        return False
    level = gap is None or gap < NO_GAP
    return train >= unigram or (_learned_little(train, unigram, floor) and level)


def _by_heart_in_its_own(series: Series, gap: float | None, constant: float | None) -> bool:
    """Whether the gap of the run's own loss is wider than half of its gain on the constant."""
    train = _finite(series, "loss/train")[1]
    if gap is None or constant is None or not len(train):
        return False
    return gap >= NO_OWN_GAP * constant and gap > MEMORISED_SHARE * (constant - float(train[-1]))


def words(row: Mapping[str, Any]) -> str:
    """A run's verdict with the number that decided it, such as "fit, gap 0.31".

    row: verdict, loss.name and metrics, as `records.table_row` gives them. Of a loss whose outputs
    are no log-probabilities the numbers are those after calibration, and are called so; where there
    was none they are of the run's own loss.
    """
    verdict, found = str(row["verdict"]), deciding(row)
    if verdict == "overfit" and found is not None and "overfit/onset_step" in row:
        return (
            f"overfit, {number(found[1], 2)} above its best at step {row['overfit/onset_step']:.0f}"
        )
    if found is None:
        return verdict
    name, value = found
    sure = _known(row, "memorised/evidence")
    proof = f", {sure:.0f} nats below its source" if sure is not None and sure > CERTAIN else ""
    digits = 2 if "gap" in name else 3
    return f"{verdict}, {name} {number(value, digits)}{proof}"


def deciding(row: Mapping[str, Any]) -> tuple[str, float] | None:
    """What the number is called that decided a run's verdict, and the number; None: there is none.

    row: as in `words`.
    """
    verdict = str(row["verdict"])
    raw = _log_probabilities(row.get("loss.name"))
    nll, kind = ("nll", "") if raw else ("nll_calibrated", "calibrated ")
    train, held = (_known(row, f"{nll}/{split}") for split in ("train", "val"))
    own_gap, own_train = _known(row, "gap/loss"), _known(row, "loss/train")
    named: tuple[str, float | None] = ("", None)
    if verdict == "overfit":
        named = "excess", _known(row, "overfit/excess")
    elif verdict in ("underfit", "unvalidated"):
        known = train is not None
        named = (f"{kind}training nll", train) if known else ("training loss", own_train)
    elif verdict in ("fit", "memorising"):
        gap = _known(row, "gap/nll") if raw else None
        if not raw and train is not None and held is not None:
            gap = held - train
        named = (f"{kind}gap", gap) if gap is not None or raw else ("loss gap", own_gap)
    name, value = named
    return None if value is None else (name, value)


def spread(rows: Iterable[Mapping[str, Any]]) -> str:
    """The deciding numbers of runs of one verdict, such as "gap 0.024 to 0.31"; "" if mixed.

    rows: as in `words`.
    """
    found = [deciding(row) for row in rows]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({name for name, _ in known}) > 1:
        return ""
    name, values = known[0][0], [value for _, value in known]
    digits = 2 if "nll" not in name and "loss" not in name.split() else 3
    low, high = number(min(values), digits), number(max(values), digits)
    return f"{name} {low}" if low == high else f"{name} {low} to {high}"


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
