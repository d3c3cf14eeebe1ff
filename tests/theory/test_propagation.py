"""Variances through the layers: closed forms, fixed points, overlaps counted by hand, draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.config.groups import Data, Init, Model
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.initialization import initial_weights, layer_sizes
from harness.numerics.quadrature import (
    correlate,
    hermite_table,
    mean_positive_part,
    normal_nodes,
    scale_nodes,
)  # fmt: skip
from harness.theory.initial_loss import expected_initial_loss
from harness.theory.layer_laws import embedding_std, layers
from harness.theory.overlap import facts, overlaps
from harness.theory.propagation import propagate
from tests.support.start_reference import draw_logits


@pytest.fixture(scope="module")
def census():
    return load_data(Data(name="census", fraction=0.1))


def test_nodes_integrate_the_normal():
    """Even moments 1, 3, 15 of N(0,1), and E relu = 1/sqrt(2 pi) despite the kink (1e-4)."""
    x, w = normal_nodes()
    assert [w @ x**k for k in (0, 2, 4, 6)] == pytest.approx([1, 1, 3, 15], rel=1e-10)
    assert w @ np.maximum(x, 0) == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-4)
    assert mean_positive_part(np.zeros(1), 2.0)[0] == pytest.approx(2 / math.sqrt(2 * math.pi))


def test_relu_correlation_is_the_arc_cosine_kernel():
    """E relu(x) relu(y) = (sqrt(1-r^2) + r (pi - arccos r)) / (2 pi) (Cho & Saul 2009)."""
    x, w = normal_nodes()
    f = np.maximum(x, 0)
    c = f @ hermite_table()
    rho = np.array([-1.0, -0.5, 0.0, 0.3, 0.9, 1.0])
    want = (np.sqrt(1 - rho**2) + rho * (math.pi - np.arccos(rho))) / (2 * math.pi)
    got = correlate(c, c, rho, float(w @ f**2))
    assert got == pytest.approx(want, abs=3e-4)


@pytest.mark.parametrize("spread", [1e-9, 0.01, 0.5, 2.0, 20.0])
def test_scale_nodes_have_their_moments(spread):
    """Mean 1 exactly; the variance to 3 % up to that of one squared normal (2), a tail beyond."""
    x, w = scale_nodes(spread)
    assert x @ w == pytest.approx(1, abs=1e-12) and (x >= 0).all()
    if spread <= 2:
        assert (x - 1) ** 2 @ w == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize(("gain", "fixed"), [(1.25, 0.326), (5 / 3, 1.178), (2.0, 2.121)])
def test_deep_tanh_fixed_points(gain, fixed):
    """Poole et al. 2016, recursion iterated to its end (width 200, no bias); 64 layers here.

    3 %: the recursion is of infinite width, and 200 units lower the mean by about 1 %.
    """
    data = load_data(Data(name="census", fraction=0.05))
    model = Model(hidden=(4096,) * 64, n_embd=100)
    init = Init(weight_scale=gain / (5 / 3))
    table = propagate(model, RunConfig(model=model, init=init).resolved().init, facts(data)).table
    assert table[-1][1] ** 2 == pytest.approx(fixed, rel=0.03)


def test_relu_under_kaiming_keeps_its_second_moment(census):
    """Zero biases: E relu^2 is half of q, so s = 1 at any depth and width."""
    for hidden in ((50,), (200, 100), (300,) * 12):
        got = expected_initial_loss(
            RunConfig(model=Model(hidden=hidden, activation="relu")), census
        )
        assert got.logit_std == pytest.approx(1, rel=1e-6)


def test_linear_net_is_a_product_of_variances(census):
    """hidden=[]: s^2 = 30 * .25 (embedding .5) * 4 (weights 2) + 9 (bias 3), by hand."""
    init = Init(scheme="normal", weight_scale=2, embed_scale=0.5, bias="normal", bias_scale=3)
    got = expected_initial_loss(RunConfig(model=Model(hidden=()), init=init), census)
    assert got.logit_std == pytest.approx(math.sqrt(30 * 0.25 * 4 + 9), rel=1e-12)


def test_a_constant_bias_feeds_through_a_relu(census):
    """Bias c: E relu(h)^2 with h ~ N(c, 1) = (1 + c^2) Phi(c) + c phi(c)."""
    c = 0.7
    phi = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
    second = (1 + c * c) * 0.5 * (1 + math.erf(c / math.sqrt(2))) + c * phi
    run = RunConfig(
        model=Model(hidden=(200,), activation="relu", n_embd=1000),
        init=Init(weight_scale=2**-0.5, bias="constant", bias_scale=c, output_bias="zero"),
    )
    got = expected_initial_loss(run, census)
    assert got.logit_std == pytest.approx(math.sqrt(second / 2), rel=2e-3)


def test_overlaps_counted_by_hand():
    """Contexts aa, ab, bb with weights .5, .3, .2: agree twice .38, once 2(.15 + .06), never .2."""
    rows = np.array([[0, 0], [0, 1], [1, 1]])
    joint = overlaps(rows, np.array([0, 1, 0]), np.array([0.5, 0.3, 0.2]), 2)
    assert joint.sum((1, 2)) == pytest.approx([0.2, 0.42, 0.38], abs=1e-12)
    assert joint[2] == pytest.approx(np.diag([0.29, 0.09]), abs=1e-12)
    assert joint.sum() == pytest.approx(1, abs=1e-12)


def test_sampled_overlaps_of_long_contexts(monkeypatch):
    """The evenly spaced sample against the exact count: within 5 % of each large class."""
    data = load_data(Data(name="census", fraction=0.5))
    train = data.train
    args = (
        train.contexts_CT[train.pair_context_P], train.pair_target_P,
        train.pair_count_P / train.n, data.V,
    )  # fmt: skip
    exact = overlaps(*args).sum((1, 2))
    monkeypatch.setattr("harness.theory.overlap.EXACT_WORK", 0)
    assert overlaps(*args).sum((1, 2)) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("scheme", ["kaiming", "normal", "uniform", "xavier", "orthogonal", "zero"])
@pytest.mark.parametrize("scope", ["linear", "all", "hidden", "output", "embedding"])
def test_layer_laws_are_those_of_the_drawn_weights(census, scheme, scope):
    """Root mean square of what initialization draws: 5 standard errors, all but orthogonal."""
    init = Init(scheme=scheme, weight_scale=1.7, output_scale=0.3, embed_scale=2.0, scope=scope)
    run = RunConfig(init=init, model=Model(hidden=(64, 50)))
    drawn = initial_weights(run.resolved(), census)
    stack = {layer.name: layer for layer in layers(run.model, run.resolved().init, facts(census))}
    want = {f"{name}.weight": layer.weight for name, layer in stack.items()}
    want["embedding.weight"] = embedding_std(run.init)
    for name, std in want.items():
        w = drawn[name]
        assert math.sqrt((w**2).mean()) == pytest.approx(std, rel=5 / math.sqrt(2 * w.size))
    sizes = [(layer.name, layer.fan_in, layer.fan_out) for layer in stack.values()]
    assert sizes == layer_sizes(run, census)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "linear"])
@pytest.mark.parametrize("scheme", ["normal", "orthogonal", "uniform"])
def test_logit_spread_of_drawn_networks(census, activation, scheme):
    """Mean square logit of 60 networks over all training contexts, within 5 standard errors."""
    run = RunConfig(
        model=Model(hidden=(40, 30), activation=activation, n_embd=8),
        init=Init(scheme=scheme, weight_scale=0.5, bias="uniform", output_bias="zero"),
    )
    weight = np.bincount(census.train.context_N) / census.train.n
    squares = [
        float(weight @ (draw_logits(run, census, np.random.default_rng(k)) ** 2).mean(1))
        for k in range(60)
    ]
    want = expected_initial_loss(run, census).logit_std ** 2
    assert abs(np.mean(squares) - want) < 5 * np.std(squares) / math.sqrt(60)


def test_layers_are_named_from_the_bottom(census):
    got = expected_initial_loss(RunConfig(model=Model(hidden=(30, 20))), census)
    assert [row[0] for row in got.layers] == ["hidden.0", "hidden.1", "output"]
    assert got.layers[0][1] == pytest.approx(5 / 3)  # gain 5/3 on unit inputs
    assert got.layers[-1][1] == got.logit_std
