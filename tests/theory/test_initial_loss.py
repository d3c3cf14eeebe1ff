"""Expected losses, their spread over draws, the verdict and the advice.

Numbers marked MC are Monte Carlo runs (torch, CPU, made before this code); the networks of the
random configs are drawn by tests/start_reference.py, which shares no code with the theory.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import log_softmax, logsumexp

from harness.components.losses import LOSSES
from harness.components.losses.hinge import lowest_levels
from harness.config.groups import Data, Init, Loss, Model
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.numerics.logit_law import log_sum_exp, probabilities, products
from harness.numerics.logit_pairs import Meeting
from harness.theory.estimate import describe
from harness.theory.initial_loss import (
    LogitLaw,
    expected_initial_loss,
    verdict,
)
from tests.support.start_reference import draw_logits, measure

V = 27
# s, F(s), softmax MSE summed, BCE mean, Weston-Watkins hinge, Crammer-Singer; F by an independent
# quadrature, the others from formulas, all against 2e5-draw Monte Carlo
TABLE = [
    (0.01, 3.29589, 0.96297, 0.69316, 0.96296, 1.0198),
    (0.1, 3.30065, 0.96332, 0.69440, 0.96296, 1.1982),
    (0.5, 3.4156, 0.97274, 0.72349, 0.98716, 1.9911),
    (1, 3.7663, 1.01051, 0.80606, 1.15521, 2.9833),
    (2, 5.0121, 1.17384, 1.06771, 1.63528, 4.9737),
    (5, 10.370, 1.54310, 2.12055, 3.22507, 10.961),
    (10, 20.160, 1.72800, 4.05431, 5.92799, 20.949),
    (15, 30.089, 1.79325, 6.02766, 8.63994, 30.939),
]
(
    expected_cross_entropy, expected_mse, expected_brier, expected_bce, expected_hinge,
    expected_crammer_singer, expected_squared_error, expected_binary_cross_entropy,
    expected_max_margin,
) = (
    LOSSES.get(name).expected
    for name in (
        "cross_entropy", "mse", "brier", "bce", "hinge", "crammer_singer", "squared_error",
        "binary_cross_entropy", "max_margin",
    )
)  # fmt: skip
CLASS_LOSSES = [
    expected_cross_entropy, expected_mse, expected_brier, expected_bce, expected_hinge,
    expected_crammer_singer,
]  # fmt: skip


@pytest.fixture(scope="module")
def names():
    path = os.environ.get("HARNESS_TEST_NAMES", "")
    if not path:
        pytest.skip("HARNESS_TEST_NAMES names no file")
    return load_data(Data(name="makemore", path=path, unique_words=False))


@pytest.fixture(scope="module")
def census():
    return load_data(Data(name="census", fraction=0.1))


@pytest.mark.parametrize("row", TABLE)
def test_table_of_expected_losses(row):
    """All columns to the table's own digits: 5e-5 relative (the task asks 1e-3)."""
    law = LogitLaw.iid(row[0], V)
    got = (
        expected_cross_entropy(law), expected_brier(law, summed=True), expected_bce(law),
        expected_hinge(law), expected_crammer_singer(law),
    )  # fmt: skip
    assert got == pytest.approx(row[1:], rel=5e-5)


def test_equal_logits_cost_what_they_must():
    law = LogitLaw.iid(0.0, V)
    assert expected_cross_entropy(law) == pytest.approx(3.295836866004329, abs=1e-14)  # 3 ln 3
    assert expected_cross_entropy(law, smoothing=0.1) == pytest.approx(3 * math.log(3), abs=1e-14)
    assert expected_bce(law, summed=True) == pytest.approx(18.715, abs=5e-4)  # 27 ln 2
    assert expected_brier(law, summed=True) == pytest.approx(26 / 27, abs=1e-14)
    assert expected_brier(law) == pytest.approx(26 / 27**2, abs=1e-14)
    assert expected_mse(law) == pytest.approx(1 / 27, abs=1e-14)
    assert expected_hinge(law) == pytest.approx(26 / 27, abs=1e-14)
    assert expected_crammer_singer(law) == pytest.approx(1, abs=1e-14)
    one = LogitLaw.iid(0.0, 1)
    assert expected_squared_error(one) == 1
    assert expected_binary_cross_entropy(one) == pytest.approx(math.log(2), abs=1e-15)
    assert expected_max_margin(one) == 1


@pytest.mark.parametrize("s", [0.01, 0.1, 0.3])
def test_small_spread_expansions(s):
    """Taylor series about equal logits; the next term is of order s^6 (or s^4 where noted)."""
    law = LogitLaw.iid(s, V)
    series = math.log(V) + s**2 / 2 * (1 - 1 / V) - s**4 * (V - 1) / (4 * V**2)
    assert expected_cross_entropy(law) == pytest.approx(series, abs=0.05 * s**6 + 1e-12)
    series = math.log(2) + s**2 / 8 - s**4 / 64
    assert expected_bce(law) == pytest.approx(series, abs=0.01 * s**6 + 1e-12)


def test_large_spread_is_the_largest_of_27_normals():
    """F -> m (s + pi^2 / (12 s)), m = E max of 27 normals = 1.998269 by direct integration here.

    The correction: log-sum-exp exceeds the maximum by log(1 + e^(-s gap)), and the density of the
    gap between the two largest of V normals is m at zero (by parts). The next term, read off the
    integral, is about 1.3 / s^2.
    """
    x = np.linspace(-9, 9, 20001)
    below = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    m = 9 - float(np.trapezoid(below**V, x))
    for s in (15, 30, 100, 1e4, 1e30):
        want = m * (s + math.pi**2 / (12 * s))
        assert expected_cross_entropy(LogitLaw.iid(s, V)) == pytest.approx(
            want, rel=1e-9, abs=1.5 / s**2
        )


@pytest.mark.parametrize("half_width", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("s", [0.0, 1e-12, 1e-4, 1.0, 1e4, 1e30])
def test_every_loss_is_finite_at_any_scale(s, half_width):
    """No overflow, no nan (warnings are errors), and never below the loss at equal logits."""
    law, flat = LogitLaw.iid(s, V, half_width), LogitLaw.iid(0, V)
    for expected in CLASS_LOSSES:
        assert math.isfinite(expected(law))
        assert expected(law) >= expected(flat) * (1 - 1e-6)


def sampled(law, u, smoothing, n=40_000):
    """Plain Monte Carlo of the class losses under a law: {name: (mean, standard error)}."""
    rng = np.random.default_rng(5)
    m = np.array(law.mean)
    z = (
        m
        + law.std * rng.normal(size=(n, len(m)))
        + law.half_width * rng.uniform(-1, 1, (n, len(m)))
    )
    y = rng.choice(len(m), n, p=u)
    rows = np.arange(n)
    t = np.full(z.shape, smoothing / len(m))
    t[rows, y] += 1 - smoothing
    p = np.exp(log_softmax(z, axis=1))
    own, rival = z[rows, y], z.copy()
    rival[rows, y] = -np.inf
    values = [
        logsumexp(z, axis=1) - (t * z).sum(1),
        ((z - t) ** 2).sum(1),
        ((p - t) ** 2).sum(1),
        (np.logaddexp(0, z) - t * z).sum(1),
        np.maximum(0, 1 + rival - own[:, None]).sum(1),
        np.maximum(0, 1 + rival.max(1) - own),
    ]
    return [(v.mean(), v.std() / math.sqrt(n)) for v in values]


@pytest.mark.parametrize(
    ("std", "half_width", "fixed"),
    [(0.0, 2.0, False), (0.5, 2.0, False), (0.3, 0.0, True), (2.0, 0.0, True), (20.0, 0.0, True)],
)
def test_bias_laws_against_sampling(std, half_width, fixed):
    """Uniform biases, and a fixed vector of them with unequal targets: |z| < 4.5 in 12 numbers."""
    rng = np.random.default_rng(1)
    u = rng.dirichlet(np.ones(V))
    mean = tuple(np.log(rng.dirichlet(np.ones(V)))) if fixed else (0.0,) * V
    law = LogitLaw(std, mean, half_width)
    for smoothing in (0.0, 0.2):
        for expected, (value, se) in zip(CLASS_LOSSES, sampled(law, u, smoothing), strict=True):
            got = expected(law, u, smoothing=smoothing, summed=True)
            assert abs(got - value) < 4.5 * se + 1e-9 * abs(value), expected.__name__


def test_softmax_moments_agree_with_each_other():
    """Rows of E p p^T sum to E p, and they to one."""
    law = LogitLaw(1.3, tuple(np.log(np.random.default_rng(2).dirichlet(np.ones(9)))))
    assert products(law).sum(1) == pytest.approx(probabilities(law), abs=1e-6)
    assert probabilities(law).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("s", [0.1, 1.0, 5.0])
@pytest.mark.parametrize(
    "name", ["cross_entropy", "nll", "mse", "brier", "bce", "hinge", "crammer_singer"]
)
def test_covariance_between_two_examples(name, s):
    """40,000 pairs of correlated logits, equal and different targets: to 6 % and 5 standard errors.

    The geometric tail of the series and Crammer-Singer's rare zeros are good to some per cent.
    """
    rng = np.random.default_rng(11)
    n, rho = 40_000, 0.6
    x = rng.normal(size=(n, V))
    other = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, V))
    names_ = ["cross_entropy", "mse", "brier", "bce", "hinge", "crammer_singer"]
    index = names_.index(name if name != "nll" else "cross_entropy")

    def losses(z, target):
        p = np.exp(log_softmax(z, axis=1))
        t = np.eye(V)[target]
        rival = np.delete(z, target, axis=1)
        own = z[:, target]
        return (
            logsumexp(z, axis=1) - own,
            ((z - t) ** 2).sum(1),
            ((p - t) ** 2).sum(1),
            np.logaddexp(0, z).sum(1) - own,
            np.maximum(0, 1 + rival - own[:, None]).sum(1),
            np.maximum(0, 1 + rival.max(1) - own),
        )[index]

    joint = np.stack([np.eye(V) / V, (1 - np.eye(V)) / (V * (V - 1))])
    theory = LOSSES.get(name).spread(
        LogitLaw.iid(s, V), np.array([rho, rho]), Meeting(joint, np.array([0, 1])), 0.0
    )
    largest = abs(theory[0])
    for target, want in zip((3, 8), theory, strict=True):
        a, b = losses(s * x, 3), losses(s * other, target)
        product = (a - a.mean()) * (b - b.mean())
        assert abs(want - product.mean()) < 0.06 * largest + 5 * product.std() / math.sqrt(n)


def test_variance_of_log_sum_exp():
    """rho = 1: the variance itself, against 200,000 draws (standard error .3 %)."""
    z = 2.0 * np.random.default_rng(3).normal(size=(200_000, V))
    assert log_sum_exp(LogitLaw.iid(2.0, V))[1] == pytest.approx(
        logsumexp(z, axis=1).var(), rel=0.02
    )


# -- whole configs -------------------------------------------------------------------------------

LECTURE = [  # n_embd 10, context 3, hidden 200: s, measured mean of 400 inits, its se, sd (MC)
    ({"scheme": "normal", "bias": "normal"}, 13.154, 26.232, 0.083, 1.65),
    (
        {"scheme": "normal", "bias": "normal", "output_scale": 0.01, "output_bias": "zero"},
        0.131, 3.3037, 0.0005, 0.010,
    ),
    ({"output_scale": 5 / 3}, 1.266, 4.0189, 0.006, 0.121),
    ({"weight_scale": 0.6, "output_scale": 5 / 3}, 0.628, 3.4786, 0.003, 0.053),
]  # fmt: skip


@pytest.mark.parametrize(("init", "s", "measured", "se", "sd"), LECTURE)
def test_lecture_inits(names, init, s, measured, se, sd):
    """Mean within 1 % of what was measured (and 3 se), sd within 10 % (400 draws: 3.5 %)."""
    got = expected_initial_loss(RunConfig(init=Init(**init)), names)
    assert got.expected == pytest.approx(measured, rel=0.01)
    assert abs(got.expected - measured) < 3 * se
    assert got.sd == pytest.approx(sd, rel=0.1)
    assert got.logit_std == pytest.approx(s, rel=0.012)  # s was computed for a huge embedding


@pytest.mark.parametrize(
    ("g", "s", "want"), [(0.1, 0.077, 3.2987), (0.3, 1.749, 4.648), (1, 13.1, 26.31)]
)
def test_all_weights_scaled_embedding_too(names, g, s, want):
    """Within 1 % of wide-embedding theory; ten embedding numbers lower s by .7 % at g = .3."""
    init = Init(scheme="normal", scope="all", weight_scale=g)
    got = expected_initial_loss(RunConfig(init=init), names)
    assert got.expected == pytest.approx(want, rel=0.01)
    assert got.logit_std == pytest.approx(s, rel=0.012)


def test_deep_net(names):
    """Ten tanh layers of 200 at gain 5/3, output too: 3.860 measured (MC), s 1.0857 (recursion)."""
    run = RunConfig(model=Model(hidden=(200,) * 10), init=Init(output_scale=5 / 3))
    got = expected_initial_loss(run, names)
    assert got.expected == pytest.approx(3.860, rel=0.01)
    assert got.logit_std == pytest.approx(1.0857, rel=0.01)


def test_log_unigram_start_is_the_unigram_cross_entropy(names):
    run = RunConfig(init=Init(scheme="zero", output_bias="log_unigram"))
    got = expected_initial_loss(run, names)
    u = names.unigram[names.unigram > 0]
    assert got.expected == pytest.approx(float(-(u * np.log(u)).sum()), abs=1e-12)
    assert got.expected == pytest.approx(2.8226, abs=5e-5)  # counted over the training split
    assert got.sd == 0 and verdict(got.expected, got).z is None


def test_best_constant_starts(names):
    """.1401 (bce) and .03414 (raw mse) from the closed forms; .506 for the hinge is a gradient
    descent's; its exact minimum, by linear programming, is .5029."""
    best = {
        name: expected_initial_loss(RunConfig(loss=Loss(name=name)), names).smart_start
        for name in ("cross_entropy", "bce", "mse", "brier", "hinge", "crammer_singer")
    }
    assert best["cross_entropy"].loss == pytest.approx(2.8226, abs=5e-5)
    assert best["bce"].loss == pytest.approx(0.1401, abs=5e-5)
    assert best["mse"].loss == pytest.approx(0.03414, abs=5e-6)
    assert best["hinge"].loss == pytest.approx(0.503, abs=5e-4)
    assert best["crammer_singer"].loss == 1
    for start in best.values():
        assert start.loss <= start.reached * (1 + 1e-12)


def test_lowest_levels_are_optimal():
    """The shortest path against a linear program over all biases, 6 symbols, to 1e-9."""
    p = np.random.default_rng(4).dirichlet(np.ones(6) * 0.5)
    n = len(p)
    pairs = [(y, j) for y in range(n) for j in range(n) if y != j]
    cost = np.concatenate([np.zeros(n), [p[y] for y, _ in pairs]])
    rows = np.zeros((len(pairs), n + len(pairs)))
    for r, (y, j) in enumerate(pairs):  # slack >= 1 + b_j - b_y
        rows[r, j], rows[r, y], rows[r, n + r] = 1, -1, -1
    bounds = [(None, None)] * n + [(0, None)] * len(pairs)
    best = linprog(cost, A_ub=rows, b_ub=-np.ones(len(pairs)), bounds=bounds).fun
    assert lowest_levels(p) == pytest.approx(best, abs=1e-9)


def test_the_famous_start_is_flagged_and_the_fix_praised(names):
    loud = RunConfig(init=Init(scheme="normal", bias="normal"))
    told = expected_initial_loss(loud, names)
    logits = draw_logits(loud, names, np.random.default_rng(0))
    found = verdict(measure(logits, loud, names), told)
    assert 24 < told.expected < 28 and abs(found.z) < 4 and found.warns
    assert found.kind == "confident and wrong" and "init.output_scale=0.01" in found.advice
    assert found.words.startswith("confident and wrong") and found.advice in found.words
    quiet = RunConfig(
        init=Init(scheme="normal", bias="normal", output_scale=0.01, output_bias="zero")
    )
    told = expected_initial_loss(quiet, names)
    found = verdict(
        measure(draw_logits(quiet, names, np.random.default_rng(0)), quiet, names), told
    )
    assert told.expected == pytest.approx(3.304, abs=0.001) and abs(found.z) < 4
    assert found.kind == "as expected" and "good start" in found.words and not found.warns


def test_advice_gives_what_it_promises(census):
    """The recommended overrides, put into the config, have the loss that was named."""
    run = RunConfig(init=Init(scheme="normal", bias="normal"))
    told = expected_initial_loss(run, census)
    first = told.advice.split("; ")[0]
    settings = dict(word.split("=") for word in first.split() if "=" in word)
    init = dataclasses.replace(
        run.init,
        output_scale=float(settings["init.output_scale"]),
        output_bias=settings["init.output_bias"],
    )
    better = expected_initial_loss(dataclasses.replace(run, init=init), census)
    promised = float(first.split("starts at ")[1].split()[0])
    assert better.expected == pytest.approx(promised, rel=1e-3)
    assert better.expected < 1.02 * better.uniform


def test_verdict_edges(census):
    told = expected_initial_loss(RunConfig(), census)
    assert verdict(math.nan, told).z is None
    found = verdict(told.expected + 9 * told.sd, told)
    assert found.z == pytest.approx(9, abs=0.01) and found.kind == "not what the config says"
    assert "(z = 9)" in found.words
    certain = expected_initial_loss(RunConfig(init=Init(output_scale=0.0)), census)
    assert certain.sd == 0
    found = verdict(certain.expected * 1.01, certain)
    assert found.z is None and "no draw can differ" in found.words
    found = verdict(certain.expected * (1 + 1e-6), certain)  # float32 rounding is no finding
    assert found.z is None and found.kind == "as expected"


def test_a_far_draw_of_a_narrow_or_deep_net_is_said_to_be_chance(census):
    """Where the limit is wider than 4, a z in between is printed with it, and accuses no one."""
    deep = RunConfig(model=Model(hidden=(50,) * 10, activation="relu"))
    told = expected_initial_loss(deep, census)
    assert told.z_limit > 9
    far = verdict(told.expected + 9 * told.sd, told)
    assert far.kind == "confident and wrong"
    assert f"(z = 9.0; up to {told.z_limit:.1f} is chance in so narrow" in far.words
    near = verdict(told.expected + 3 * told.sd, told)
    assert "chance" not in near.words
    beyond = verdict(told.expected + (told.z_limit + 1) * told.sd, told)
    assert beyond.kind == "not what the config says" and "is chance" not in beyond.words


def test_caveats_give_sizes(census):
    tiny = expected_initial_loss(
        RunConfig(model=Model(hidden=(4,), activation="relu"), init=Init(scheme="normal")), census
    )
    assert any("%" in text for text in tiny.caveats)
    normed = expected_initial_loss(
        RunConfig(model=Model(batch_norm=True), init=Init(scheme="normal")), census
    )
    assert "batch norm" in normed.caveats[-1] and "the loss" in normed.caveats[-1]
    assert expected_initial_loss(RunConfig(), census).caveats == ()
    huge = RunConfig(
        model=Model(hidden=(200,) * 8, activation="relu"),
        init=Init(scheme="normal", weight_scale=1e6),
    )
    burst = expected_initial_loss(huge, census)
    assert burst.expected is None and burst.sd is None and "float32" in burst.caveats[0]
    assert verdict(1e3, burst).kind == "confident and wrong"


def test_what_does_not_matter_is_shared(census):
    """Seeds, rates and regularizers leave the very same object."""
    one = expected_initial_loss(RunConfig(seed=1), census)
    two = expected_initial_loss(RunConfig(seed=2, init=Init(seed=9)), census)
    assert one is two


# -- networks drawn at random --------------------------------------------------------------------


def random_run(rng):
    """A config from anywhere in the space that the theory covers."""
    binary = rng.random() < 0.15
    choices = ["cross_entropy", "nll", "mse", "brier", "bce", "hinge", "crammer_singer"]
    if binary:
        choices = ["squared_error", "binary_cross_entropy", "max_margin"]
    loss = str(rng.choice(choices))
    smooth = float(rng.choice([0, 0.1])) if loss in choices[:5] and not binary else 0.0
    depth = int(rng.choice([0, 1, 1, 1, 2, 3]))
    bias = str(rng.choice(["zero", "zero", "normal", "uniform", "constant"]))
    kinds = ["same", "zero", "normal", "uniform", "constant", "log_unigram"]
    last = str(rng.choice(kinds, p=[0.4, 0.15, 0.1, 0.1, 0.1, 0.15]))
    if binary and last == "log_unigram":
        last = "zero"
    data = Data(
        name="census",
        fraction=float(rng.choice([0.05, 0.1])),
        block_size=int(rng.integers(1, 6)),
    )
    if binary:
        data = Data(name=str(rng.choice(["points", "moons"])), words=200)
    return RunConfig(
        data=data,
        model=Model(
            n_embd=int(rng.choice([2, 5, 10, 30])),
            hidden=tuple(int(rng.choice([16, 32, 64, 128, 200])) for _ in range(depth)),
            activation=str(rng.choice(["tanh", "relu", "gelu", "linear"])),
            batch_norm=bool(rng.random() < 0.1),
        ),
        init=Init(
            scheme=str(
                rng.choice(
                    ["kaiming", "normal", "uniform", "xavier", "orthogonal", "zero"],
                    p=[0.3, 0.2, 0.15, 0.15, 0.15, 0.05],
                )
            ),
            weight_scale=float(10 ** rng.uniform(-1.5, 0.7)),
            output_scale=float(10 ** rng.uniform(-2, 0.5)),
            embed_scale=float(10 ** rng.uniform(-0.5, 0.5)),
            scope=str(rng.choice(["linear", "all", "hidden", "output", "embedding"])),
            bias=bias,
            output_bias=None if last == "same" else last,
            bias_scale=float(10 ** rng.uniform(-1.5, 0.5)),
        ),
        loss=Loss(name=loss, reduction=str(rng.choice(["mean", "sum"])), label_smoothing=smooth),
    )


def scores(base, count):
    out = []
    for k in range(count):
        rng = np.random.default_rng([base, k])
        run = random_run(rng)
        data = load_data(run.data)
        told = expected_initial_loss(run, data)
        z = verdict(measure(draw_logits(run, data, rng), run, data), told).z
        if z is not None:
            out.append(z)
        else:
            assert told.sd == 0
    return np.array(out)


def judge(z):
    """No more than 1 % beyond 4, and a spread near 1: neither blind nor jumpy."""
    assert (np.abs(z) > 4).mean() <= 0.01
    assert 0.75 < z.std() < 1.3
    assert abs(z.mean()) < 4 / math.sqrt(len(z))


@pytest.mark.slow
def test_random_networks_are_what_the_theory_says():
    """One draw each of 400 configs across losses, schemes, depths, activations and scales.

    Measured at writing: 386 have a spread, mean z .02, sd .96; |z| > 3 in .5 %, > 4 in none. The
    two beyond 3 (z = 3.1) are networks whose loss is strongly skewed over draws: 16 tanh units at
    the bottom of three layers, and a relu layer under an embedding that spreads its norms.
    """
    judge(scores(2024, 400))


def test_sixty_random_networks():
    """Other draws than those of the large test, in two seconds."""
    judge(scores(7, 60))


@pytest.mark.parametrize(
    ("broken", "model", "init"),
    [
        # sqrt(fan_out) for sqrt(fan_in): s is 3.9 times too large at fan-in 300 and width 20
        ("fan", Model(n_embd=100, hidden=(20,), activation="relu"), Init()),
        ("bias", Model(), Init(output_scale=0.1, output_bias="log_unigram")),
        ("output", Model(), Init(scheme="normal", output_scale=0.01)),
    ],
)
def test_a_broken_network_is_caught(census, broken, model, init):
    """The sound network passes on 8 seeds; the broken one is off by |z| > 4 on every one."""
    run = RunConfig(model=model, init=init)
    told = expected_initial_loss(run, census)
    for seed in range(8):
        sound = measure(draw_logits(run, census, np.random.default_rng(seed)), run, census)
        assert abs(verdict(sound, told).z) < 4
        bad = draw_logits(run, census, np.random.default_rng(seed), broken=broken)
        found = verdict(measure(bad, run, census), told)
        assert abs(found.z) > 4 and found.kind == "not what the config says"


def test_nothing_is_told_of_what_float32_cannot_hold():
    """At scale 1e6 eight relu layers overflow; what follows is absent, not begun anew at 1."""
    run = RunConfig(init=Init(weight_scale=1e6), model=Model(hidden=(200,) * 8, activation="relu"))
    found = expected_initial_loss(run, load_data(run.data))
    assert found.expected is None and math.isnan(found.logit_std)
    names = [name for name, *_ in found.layers]
    assert names == [f"hidden.{i}" for i in range(len(names))] and 0 < len(names) < 8
    spreads = [pre for _, pre, _ in found.layers]
    assert all(b > 1e5 * a for a, b in itertools.pairwise(spreads))
    assert "expected" not in describe(run)["logit_std"]


def test_a_uniform_bias_that_outweighs_the_weights_is_said():
    loss, free = Loss(name="brier"), Init(output_scale=0.0, output_bias="uniform", bias_scale=2.0)
    data = load_data(Data(fraction=0.1))
    said = expected_initial_loss(RunConfig(data=Data(fraction=0.1), init=free, loss=loss), data)
    assert any("uniform output bias" in text for text in said.caveats)
    usual = RunConfig(data=Data(fraction=0.1), init=Init(bias="uniform", bias_scale=0.1), loss=loss)
    assert not any("uniform output bias" in t for t in expected_initial_loss(usual, data).caveats)
