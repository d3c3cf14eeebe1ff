"""Verdicts and curve metrics on constructed curves with answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from harness.records.verdicts import Reading, judge, spread, words

STEPS = np.arange(0, 1100, 100)  # 11 evaluations


def curves(train, val, steps=STEPS):
    """Series as the engine makes them; the run's own loss is the yardstick plus one."""
    train, val = np.asarray(train, float), np.asarray(val, float)
    return {
        "nll/train": (steps, train), "nll/val": (steps, val),
        "loss/train": (steps, train + 1), "loss/val": (steps, val + 1),
    }  # fmt: skip


def verdict(train, val, *, unigram=2.8, floor=1.2, diverged=None, **more):
    return judge(
        curves(train, val), unigram=unigram, context_floor=floor, diverged_step=diverged, **more
    )


FALLING = np.linspace(3.3, 1.4, 11)


def test_overfit_curve_has_onset_at_its_best_step():
    val = [3.3, 2.9, 2.6, 2.5, 2.48, 2.5, 2.55, 2.6, 2.65, 2.7, 2.75]
    got, metrics = verdict(FALLING, val)
    assert got == "overfit"
    assert metrics["overfit/onset_step"] == metrics["best/step"] == 400
    assert metrics["best/nll_val"] == 2.48
    assert metrics["overfit/excess"] == pytest.approx(0.27, abs=1e-12)  # 2.75 - 2.48
    assert metrics["gap/nll"] == pytest.approx(1.35, abs=1e-12)  # 2.75 - 1.4
    assert metrics["gap/loss"] == pytest.approx(1.35, abs=1e-12)


@pytest.mark.parametrize(
    "tail",
    [
        [2.48, 2.49, 2.49],  # only two evaluations above
        [2.50, 2.50, 2.4849],  # came back within the margin of .005
        [2.484, 2.484, 2.484],  # never left it
    ],
)
def test_a_rise_that_is_not_confirmed_is_no_onset(tail):
    val = [3.3, 3.1, 2.9, 2.7, 2.6, 2.55, 2.5, 2.48, *tail]
    got, metrics = verdict(FALLING, val)
    assert got == "memorising"  # the gap is above 1, and no onset is confirmed
    assert "overfit/onset_step" not in metrics


def test_training_and_validation_rising_together_is_not_overfitting():
    shape = np.array([3.3, 2.4, 2.0, 1.8, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2, 2.3])
    assert verdict(shape, shape + 0.15)[0] == "fit"


def test_underfit_needs_both_little_learned_and_no_gap():
    flat = np.linspace(3.3, 2.7, 11)
    assert verdict(flat, flat + 0.02)[0] == "underfit"
    assert verdict(flat, flat + 0.2)[0] == "memorising"  # a gap: something was, by heart
    # half way from 2.8 to 1.2 is 2.0: a hair beyond it is a fit
    assert verdict(np.linspace(3.3, 1.99, 11), np.linspace(3.3, 2.0, 11))[0] == "fit"
    assert verdict(np.linspace(3.3, 2.01, 11), np.linspace(3.3, 2.02, 11))[0] == "underfit"


def test_what_has_not_beaten_the_unigram_in_training_is_underfit_whatever_its_gap():
    high = np.linspace(5.0, 2.9, 11)
    assert verdict(high, high + 0.3)[0] == "underfit"
    assert verdict(high - 0.2, high + 0.1)[0] == "memorising"  # 2.7: learned, and by heart


@pytest.mark.parametrize(
    ("train", "gap", "want"),
    [
        (1.88, 1.21, "memorising"),  # of .92 gained on the unigram 1.21 does not hold
        (1.50, 0.93, "memorising"),  # of 1.30, .93
        (1.50, 0.64, "fit"),  # just less than half of it
        (2.10, 0.31, "fit"),  # .31 of .70: most of what was learned holds
        (1.90, 0.46, "memorising"),  # .46 of .90
        (2.60, 0.09, "underfit"),  # .09 is nothing to speak of, though nearly half of .2
    ],
)
def test_memorising_is_a_gap_wider_than_half_of_what_training_gained(train, gap, want):
    """Unigram 2.8. Validation falls to its end, so it has not turned."""
    curve = np.linspace(3.3, train, 11)
    assert verdict(curve, curve + np.linspace(0, gap, 11))[0] == want


def test_validation_that_has_turned_is_overfitting_however_wide_the_gap():
    val = [3.3, 2.9, 2.6, 2.5, 2.48, 2.5, 2.55, 2.6, 2.65, 2.7, 2.75]
    assert verdict(FALLING, val)[0] == "overfit"


def test_no_yardstick_of_learning_no_verdict_on_it():
    curve = np.linspace(0.7, 0.1, 11)
    assert verdict(curve, curve + 0.5, unigram=None, floor=None)[0] == "fit"
    # binary labels, half and half: knowing that alone costs ln 2
    assert verdict(curve, curve + 0.5, unigram=np.log(2), floor=None)[0] == "memorising"


@pytest.mark.parametrize(
    ("verdict_", "row", "said"),
    [
        ("fit", {"gap/nll": 0.314}, "fit, gap 0.31"),
        ("memorising", {"gap/nll": 0.93}, "memorising, gap 0.93"),
        ("overfit", {"overfit/excess": 0.27, "overfit/onset_step": 400.0, "gap/nll": 1.3},
         "overfit, 0.27 above its best at step 400"),
        ("underfit", {"nll/train": 2.71}, "underfit, training nll 2.71"),
        ("diverged", {"best/nll_val": 3.3}, "diverged"),
        ("fit", {}, "fit"),
        ("fit", {"loss.name": "mse", "gap/nll": 0.01, "nll_calibrated/train": 2.0,
                 "nll_calibrated/val": 2.4}, "fit, calibrated gap 0.40"),
        ("fit", {"loss.name": "mse", "gap/nll": 0.01}, "fit"),
        ("fit", {"loss.name": "squared_error", "gap/loss": 0.046, "gap/nll": 0.01},
         "fit, loss gap 0.046"),
        ("underfit", {"loss.name": "mse", "loss/train": 0.0351}, "underfit, training loss 0.0351"),
        ("unvalidated", {"nll/train": 0.0396}, "unvalidated, training nll 0.0396"),
        ("unvalidated", {"loss.name": "max_margin", "loss/train": 0.04},
         "unvalidated, training loss 0.0400"),
        ("memorising", {"gap/nll": 0.02, "memorised/evidence": 52.4},
         "memorising, gap 0.020, 52 nats below its source"),
        ("fit", {"gap/nll": 0.02, "memorised/evidence": -300.0}, "fit, gap 0.020"),
    ],
)  # fmt: skip
def test_the_deciding_number_is_in_the_sentence(verdict_, row, said):
    assert words({"verdict": verdict_, **row}) == said


def test_underfit_without_a_known_floor_compares_with_the_unigram():
    for end, want in ((2.6, "underfit"), (2.4, "fit")):  # a tenth below 2.8 is 2.52
        curve = np.linspace(3.3, end, 11)
        assert verdict(curve, curve, floor=None)[0] == want
    flat = np.linspace(3.3, 3.2, 11)
    assert verdict(flat, flat, unigram=None, floor=None)[0] == "fit"


def test_calibrated_values_replace_the_raw_ones():
    flat = np.linspace(3.29, 3.2, 11)  # raw squared error: softmax of its outputs says little
    assert verdict(flat, flat)[0] == "underfit"
    assert verdict(flat, flat, calibrated=Reading(1.7, 1.9))[0] == "fit"
    assert verdict(flat, flat, calibrated=Reading(1.7, 2.5))[0] == "memorising"
    assert verdict(flat, flat, calibrated=Reading(2.9, 3.5))[0] == "underfit"
    assert verdict(flat, flat, calibrated=Reading(2.9, None))[0] == "underfit"


@pytest.mark.parametrize(
    ("train", "gap", "want"),
    [
        (0.4, 0.05, "fit"),  # of .6 gained on the constant's 1
        (0.4, 0.29, "fit"),
        (0.4, 0.31, "memorising"),
        (0.9, 0.08, "fit"),  # below a tenth of what the constant costs
        (0.9, 0.12, "memorising"),
    ],
)
def test_too_few_examples_to_calibrate_and_the_gap_is_of_the_loss_itself(train, gap, want):
    """The best constant output costs 1; nll after calibration is known in training alone."""
    own = np.linspace(1.0, train, 11)
    flat = np.linspace(3.29, 3.2, 11)
    series = curves(flat, flat) | {
        "loss/train": (STEPS, own), "loss/val": (STEPS, own + np.linspace(0, gap, 11)),
    }  # fmt: skip
    reading = Reading(1.7, None, 1.0)
    given = {"unigram": 2.8, "context_floor": 1.2, "diverged_step": None}
    assert judge(series, **given, calibrated=reading)[0] == want
    assert judge(series, **given, calibrated=Reading(2.9, None, 1.0))[0] == "underfit"


def test_without_validation_nothing_is_said_to_fit():
    series = {"nll/train": (STEPS, FALLING), "loss/train": (STEPS, FALLING)}
    given = {"unigram": 2.8, "context_floor": 1.2, "diverged_step": None}
    assert judge(series, **given) == ("unvalidated", {})
    flat = {"nll/train": (STEPS, np.linspace(3.3, 2.9, 11))}
    assert judge(flat, **given) == ("underfit", {})  # that much training alone shows
    assert judge(series, **given, calibrated=Reading(1.0, None, 1.0))[0] == "unvalidated"


def test_proven_memory_is_not_called_a_fit_or_underfitting():
    """10 nats below the true source in all: no model does that which has not seen the words."""
    assert verdict(FALLING, FALLING + 0.02)[0] == "fit"
    assert verdict(FALLING, FALLING + 0.02, evidence=9.0)[0] == "fit"
    assert verdict(FALLING, FALLING + 0.02, evidence=11.0)[0] == "memorising"
    slow = np.linspace(3.3, 2.6, 11)
    assert verdict(slow, slow)[0] == "underfit"
    assert verdict(slow, slow, evidence=11.0)[0] == "memorising"
    turned = np.r_[FALLING[:7], FALLING[6] + 0.1 * np.arange(1, 5)]
    assert verdict(FALLING, turned, evidence=500.0)[0] == "overfit"


def test_the_deciding_numbers_of_several_runs():
    rows = [{"verdict": "fit", "gap/nll": gap} for gap in (0.31, 0.024, 0.1)]
    assert spread(rows) == "gap 0.024 to 0.31"
    assert spread(rows[:1]) == "gap 0.31"
    assert spread([*rows, {"verdict": "fit"}]) == ""
    mixed = {"verdict": "fit", "loss.name": "mse", "nll_calibrated/train": 2.0,
             "nll_calibrated/val": 2.4}  # fmt: skip
    assert spread([*rows, mixed]) == ""  # another yardstick
    underfit = [{"verdict": "underfit", "nll/train": v} for v in (3.2312, 3.5)]
    assert spread(underfit) == "training nll 3.23 to 3.50"
    assert spread([{"verdict": "diverged"}]) == ""


def test_diverged_keeps_what_was_known_and_nothing_else():
    val = [3.3, 2.9, 2.6, 2.7, np.nan, np.inf, np.nan, np.nan, np.nan, np.nan, np.nan]
    got, metrics = verdict(np.where(np.isfinite(val), FALLING, np.nan), val)
    assert got == "diverged"
    assert metrics["best/step"] == 200
    assert all(np.isfinite(list(metrics.values())))
    assert verdict(FALLING, FALLING, diverged=700)[0] == "diverged"


def test_nothing_measured_is_diverged_without_metrics():
    assert judge({}, unigram=2.8, context_floor=1.2, diverged_step=3) == ("diverged", {})


def test_one_evaluation_alone():
    """A run of zero steps has one point: it is judged without an onset."""
    series = {name: (np.array([0]), np.array([3.3])) for name in ("nll/train", "nll/val")}
    got, metrics = judge(series, unigram=2.8, context_floor=1.2, diverged_step=None)
    assert got == "underfit"
    assert metrics == {
        "gap/nll": 0.0, "best/nll_val": 3.3, "best/step": 0.0, "overfit/excess": 0.0,
    }  # fmt: skip
