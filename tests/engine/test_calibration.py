"""Links and temperatures against constructed outputs with known answers, and against scipy."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from harness import Data, Init, Loss, Optim, RunConfig, Train, load_data, train
from harness.components.losses import LOSSES
from harness.engine.calibration import (
    EPS,
    LEAST,
    LINKS,
    Pairs,
    calibrated,
    fit,
    halves,
    nll,
    parts_of,
    scores,
    too_few,
)

RNG = np.random.default_rng(3)
V = 6


def exact_pairs(p_CV):
    """Counts in exact proportion to probabilities, so that the fit's answer is known."""
    row, target = np.indices(p_CV.shape)
    return Pairs(row.ravel(), target.ravel(), 1000 * p_CV.ravel())


def softmax(z_CV):
    e = np.exp(z_CV - z_CV.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 1.7, 40.0])
def test_a_known_temperature_is_found(temperature):
    """The NLL of p itself is its entropy, and no other temperature comes lower (Gibbs)."""
    z = RNG.normal(size=(9, V)) * temperature
    p = softmax(z / temperature)
    got = fit(z, exact_pairs(p))
    assert got.temperature == pytest.approx(temperature, rel=1e-6)
    assert got.nll == pytest.approx(-(p * np.log(p)).sum() / 9, rel=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_the_fit_is_the_minimum_that_scipy_finds(link):
    z = RNG.normal(size=(40, V)) * 1.5
    counts = RNG.integers(0, 9, size=(40, V)) + 20 * (z == z.max(1, keepdims=True))
    row, target = np.indices(z.shape)
    pairs = Pairs(row.ravel(), target.ravel(), counts.ravel().astype(float))
    g = {"softmax": z, "clip": np.log(np.maximum(z, EPS)), "sigmoid": np.log(1 / (1 + np.exp(-z)))}

    def oracle(log_t):
        return -(counts * np.log(softmax(g[link] / math.exp(log_t)))).sum() / counts.sum()

    want = minimize_scalar(oracle, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10})
    got = fit(z, pairs, (link,))
    assert math.log(got.temperature) == pytest.approx(want.x, abs=1e-5)
    assert got.nll == pytest.approx(want.fun, abs=1e-12)


def test_links_at_temperature_one_are_what_they_are_called():
    z = np.array([[0.5, 0.25, -1.0, 0.0], [2.0, -3.0, 0.1, 0.1]])
    clipped = np.maximum(z, EPS)
    squashed = 1 / (1 + np.exp(-z))
    for link, p in (("clip", clipped), ("sigmoid", squashed), ("softmax", np.exp(z))):
        want = p / p.sum(1, keepdims=True)
        np.testing.assert_allclose(softmax(scores(z, link)), want, rtol=1e-14)


def test_estimates_of_probabilities_choose_clip_and_one_vs_rest_scores_choose_sigmoid():
    p = softmax(2 * RNG.normal(size=(30, V)))
    assert fit(p, exact_pairs(p), LOSSES.get("mse").links).link == "clip"
    odds = np.log(p / (1 - p))  # what one-vs-rest converges to
    got = fit(odds, exact_pairs(p), LOSSES.get("bce").links)
    assert got.link == "sigmoid" and got.temperature == pytest.approx(1, abs=1e-6)
    assert fit(np.log(p), exact_pairs(p), LOSSES.get("bce").links).link == "softmax"


def test_equal_outputs_are_left_alone():
    pairs = exact_pairs(np.full((3, V), 1 / V))
    got = fit(np.zeros((3, V)), pairs)
    assert got.temperature == 1 and got.nll == pytest.approx(math.log(V), rel=1e-15)


@pytest.mark.parametrize("scale", [1e-12, 1e6, 1e30])
def test_extreme_outputs_give_a_finite_answer_within_the_bounds(scale):
    z = RNG.normal(size=(5, V)) * scale
    got = fit(z, exact_pairs(softmax(RNG.normal(size=(5, V)))))
    assert 0.99e-3 <= got.temperature <= 1.01e3 and math.isfinite(got.nll)


def test_the_temperature_never_makes_its_own_half_worse():
    for scale in (0.1, 1, 10):
        z = RNG.normal(size=(20, V)) * scale
        pairs = exact_pairs(softmax(RNG.normal(size=(20, V))))
        assert fit(z, pairs).nll <= nll(z, pairs) + 1e-12


def test_halves_are_the_first_words_and_the_rest():
    data = load_data(Data(fraction=0.1))
    first, second = halves(data)
    words = data.val.words[: len(data.val.words) // 2]
    assert first.n == sum(len(word) + 1 for word in words)  # each with its end mark
    assert first.n + second.n == data.val.n
    seen = {(tuple(data.val.contexts_CT[r]), t): n for r, t, n in
            zip(first.row_P, first.target_P, first.count_P, strict=True)}  # fmt: skip
    starts = sum(n for (context, _), n in seen.items() if not any(context))
    assert starts == len(words)  # every word begins once from the empty context


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "bce"])
def test_a_trained_run_is_scored_on_the_half_it_was_not_fitted_on(loss):
    """Recomputed from the plain module, word by word, with scipy as optimiser."""
    config = RunConfig(
        data=Data(fraction=0.02), loss=Loss(name=loss), init=Init(output_scale=0.1),
        train=Train(steps=60), optim=Optim(lr=0.05),
    )  # fmt: skip
    [record] = train([config])
    data = load_data(config.data)
    module = record.module()

    def outputs(words):
        x, y = [], []
        for word in words:
            code = [0, 0, 0, *(data.symbols.index(c) for c in word), 0]
            x += [code[i : i + 3] for i in range(len(code) - 3)]
            y += code[3:]
        with torch.no_grad():
            return module(torch.tensor(x)).double().numpy(), np.array(y)

    cut = len(data.val.words) // 2
    link = LINKS[int(record.summary["calibration/link"])]

    parts = {True: outputs(data.val.words[:cut]), False: outputs(data.val.words[cut:])}

    def score(fitting, t):
        z, y = parts[fitting]
        return -np.log(softmax(scores(z, link) / t))[np.arange(len(y)), y].mean()

    def objective(x):
        """As `score` on the fitting half, with one example more whose target is any symbol."""
        z, y = parts[True]
        anyone = -np.log(softmax(scores(z, link) / math.exp(x))).mean()
        return (len(y) * score(True, math.exp(x)) + anyone) / (len(y) + 1)

    fitted = minimize_scalar(objective, bounds=(-5, 5), method="bounded", options={"xatol": 1e-4})
    t = record.summary["calibration/temperature"]
    assert math.log(t) == pytest.approx(fitted.x, abs=1e-3)
    after = record.summary["nll_calibrated/val"]
    assert after == pytest.approx(score(False, t), abs=1e-5)  # float32 outputs
    assert record.summary["perplexity/val"] == pytest.approx(math.exp(record.summary["nll/val"]))


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy", "max_margin"])
def test_points_are_calibrated_too(loss):
    run = RunConfig(
        data=Data(name="moons", words=2000), loss=Loss(name=loss), init=Init(output_scale=0.1),
        train=Train(steps=50), optim=Optim(lr=0.01),
    )  # fmt: skip
    [record] = train([run])
    assert 0 < record.summary["nll_calibrated/val"] < 0.7  # ln 2 is knowing nothing


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "bce", "crammer_singer"])
def test_every_evaluation_is_calibrated_as_the_last_one_is(loss):
    """Each point of the curve is what a run that ends there has as its final value."""
    config = RunConfig(
        data=Data(fraction=0.02), loss=Loss(name=loss), train=Train(steps=60, eval_every=30),
        optim=Optim(lr=0.05, schedule="constant"),
    )  # fmt: skip
    [record] = train([config])
    [half] = train([dataclasses.replace(config, train=Train(steps=30, eval_every=30))])
    steps, values = record.series["nll_calibrated/val"]
    assert list(steps) == [0, 30, 60]
    for value, ended in zip(values[1:], (half, record), strict=True):
        assert value == pytest.approx(ended.summary["nll_calibrated/val"], rel=1e-12)
    assert record.summary["best/nll_calibrated_val"] == min(values)


def test_a_diverged_run_and_a_tiny_split_have_no_such_metric():
    runs = [RunConfig(data=Data(fraction=0.02), optim=Optim(lr=1e6), train=Train(steps=40))]
    [record] = train(runs)
    assert record.verdict == "diverged"
    assert not [name for name in record.summary if "calibra" in name]
    data = load_data(Data(fraction=0.02))
    broken = torch.full((3, data.V), torch.nan)
    assert calibrated(LOSSES.get("mse"), broken, parts_of(data, ("train", "val"))) == {}


def test_a_half_that_is_told_right_throughout_keeps_a_finite_temperature():
    """n points of margin m, all on the right side: with one more of either class the chance of an
    error is 1 / (2 (n + 1)), so m / T = ln(2 n + 1).
    """
    n, m = 250, 3.0
    z = np.array([[m / 2, -m / 2], [-m / 2, m / 2]])
    right = Pairs(np.array([0, 1]), np.array([0, 1]), np.array([n / 2, n / 2]))
    assert fit(z, right).temperature < 0.2  # without it: only the bound of the search holds
    got = fit(z, right, prior=1.0)
    assert m / got.temperature == pytest.approx(math.log(2 * n + 1), rel=1e-6)
    one_wrong = Pairs(np.array([0]), np.array([1]), np.array([1.0]))
    assert nll(z, one_wrong, temperature=got.temperature) < 7


def test_few_examples_are_not_fitted_on_and_the_record_says_why():
    run = RunConfig(data=Data(name="moons", words=100), loss=Loss(name="squared_error"),
                    train=Train(steps=20), optim=Optim(lr=0.01))  # fmt: skip
    [record] = train([run])
    assert not [name for name in record.summary if "calibra" in name]
    said = record.provenance["calibration"]
    assert said == "not calibrated: half of validation has 5 points, fewer than 100"
    enough = load_data(Data(name="moons", words=20 * LEAST))
    assert too_few(enough) == "" and halves(enough)[0].n == LEAST
