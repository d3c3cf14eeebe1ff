"""Theory at its edges: scales of 0, constant outputs, narrow and deep nets, dead starts."""

import math
import warnings

import numpy as np
import pytest

from harness import (
    Data,
    Init,
    Loss,
    Model,
    RunConfig,
    Train,
    expected_initial_loss,
    load_data,
    train,
)
from tests.support.start_reference import draw_logits, measure

SMALL = Data(fraction=0.02)
V = 27
# the loss of 27 equal logits, by hand
FLAT = {
    "cross_entropy": math.log(V), "nll": math.log(V), "mse": 1 / V, "brier": (1 - 1 / V) / V,
    "bce": math.log(2), "hinge": (V - 1) / V, "crammer_singer": 1.0,
}  # fmt: skip
ZEROS = (
    {"embed_scale": 0.0},
    {"weight_scale": 0.0, "scope": "hidden"},
    {"weight_scale": 0.0},
    {"weight_scale": 0.0, "scope": "all"},
    {"output_scale": 0.0},
)


@pytest.mark.parametrize("loss", FLAT)
@pytest.mark.parametrize("init", ZEROS, ids=str)
@pytest.mark.parametrize("hidden", [(8,), ()], ids=str)
def test_a_zero_scale_gives_equal_logits_and_no_spread(loss, init, hidden):
    if init.get("scope") == "hidden" and not hidden:
        pytest.skip("no hidden layer to scale")
    run = RunConfig(data=SMALL, model=Model(hidden=hidden), loss=Loss(name=loss), init=Init(**init))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = expected_initial_loss(run, load_data(SMALL))
    assert start.expected == pytest.approx(FLAT[loss], rel=1e-12)
    assert start.sd == 0.0


@pytest.mark.parametrize(
    ("loss", "at_minus", "at_plus"),
    [  # the loss of the constant output 1 at either label
        ("squared_error", 4.0, 0.0),
        ("binary_cross_entropy", math.log(1 + math.e), math.log(1 + 1 / math.e)),
        ("max_margin", 2.0, 0.0),
    ],
)
def test_a_constant_output_costs_what_the_label_shares_say(loss, at_minus, at_plus):
    run = RunConfig(
        data=Data(name="points"), model=Model(hidden=(16,)), loss=Loss(name=loss),
        init=Init(output_scale=0.0, output_bias="constant"), train=Train(steps=0),
    )  # fmt: skip
    data = load_data(run.data)
    minus = float((data.train.y_N == -1).mean())
    want = minus * at_minus + (1 - minus) * at_plus
    (record,) = train([run])
    assert record.summary["init/loss_expected"] == pytest.approx(want, rel=1e-12)
    assert record.summary["init/loss_measured"] == pytest.approx(want, rel=1e-6)  # float32
    assert not any("not what the config says" in line for line in record.warnings)


@pytest.mark.parametrize("hidden", [(50,) * 10, (100,) * 5])
def test_a_deep_relu_draw_is_not_accused(hidden):
    """A draw far out in the skewed tail of a deep net, exactly as configured."""
    run = RunConfig(
        seed=127, data=SMALL, model=Model(hidden=hidden, activation="relu"), train=Train(steps=0)
    )
    (record,) = train([run])
    assert not any("not what the config says" in line for line in record.warnings)


HONEST = {
    "lecture": {},
    "one unit": {"model": {"hidden": (1,)}},
    "one unit, brier": {"model": {"hidden": (1,)}, "loss": "brier"},
    "one unit, crammer_singer": {"model": {"hidden": (1,)}, "loss": "crammer_singer"},
    "ten of 50 relu": {"model": {"hidden": (50,) * 10, "activation": "relu"}},
    "five of 20 relu": {"model": {"hidden": (20,) * 5, "activation": "relu"}},
    "five of 20 relu, brier": {
        "model": {"hidden": (20,) * 5, "activation": "relu"}, "loss": "brier",
    },
    "ten of 8 linear": {"model": {"hidden": (8,) * 10, "activation": "linear"}},
    "ten of 8 gelu": {"model": {"hidden": (8,) * 10, "activation": "gelu"}},
    "four of 1 relu": {"model": {"hidden": (1,) * 4, "activation": "relu"}},
    "linear, one number a symbol": {"model": {"hidden": (), "n_embd": 1}},
    "moons, deep": {
        "data": Data(name="moons"), "model": {"hidden": (10,) * 8, "activation": "relu"},
        "loss": "squared_error",
    },
    "points, linear": {
        "data": Data(name="points"), "model": {"hidden": ()}, "loss": "squared_error",
    },
    "two symbols": {"two": True, "model": {"hidden": (4,), "n_embd": 2}},
    "two symbols, bce": {"two": True, "model": {"hidden": (4,), "n_embd": 2}, "loss": "bce"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_at_most_one_honest_start_in_a_hundred_is_accused(name, tmp_path):
    """400 draws of an independent network; with 4 allowed, a true rate of .1 % passes."""
    case = HONEST[name]
    data = case.get("data", SMALL)
    if case.get("two"):
        words = {f"{i:b}".replace("0", "a").replace("1", "b") for i in range(2, 120)}
        (tmp_path / "two.txt").write_text("\n".join(sorted(words)))
        data = Data(name="file", path=str(tmp_path / "two.txt"))
    run = RunConfig(
        data=data, model=Model(**case.get("model", {})),
        loss=Loss(name=case.get("loss", "cross_entropy")),
    )  # fmt: skip
    loaded = load_data(data)
    start = expected_initial_loss(run, loaded)
    rng = np.random.default_rng(1)
    losses = [measure(draw_logits(run, loaded, rng), run, loaded) for _ in range(400)]
    z = (np.array(losses) - start.expected) / start.sd
    assert np.mean(np.abs(z) > start.z_limit) <= 0.01
    assert np.std(z) > 0.4  # the limit is not met by a spread that is far too wide


@pytest.mark.parametrize(
    ("init", "activation", "dead"),
    [
        ({"scheme": "zero"}, "tanh", True),
        ({"weight_scale": 0.0}, "tanh", True),  # no bias, so nothing reaches the output layer
        ({"weight_scale": 0.0, "bias": "normal"}, "tanh", False),  # hidden units differ by bias
        ({"embed_scale": 0.0}, "tanh", False),  # the embedding learns through the other weights
        ({"embed_scale": 0.0}, "relu", True),  # relu passes nothing back at 0
        ({"weight_scale": 0.0, "scope": "hidden"}, "tanh", False),
        ({"output_scale": 0.0}, "tanh", False),
        ({}, "relu", False),
    ],
)
def test_a_start_from_which_no_weight_learns_is_called_dead(init, activation, dead):
    """Held against training: of a dead start nothing but the output bias moves."""
    run = RunConfig(
        data=SMALL, model=Model(hidden=(8,), activation=activation), init=Init(**init),
        train=Train(steps=20),
    )  # fmt: skip
    before = train([RunConfig(data=run.data, model=run.model, init=run.init, train=Train(steps=0))])
    (record,) = train([run])
    moved = {name for name, w in record.weights.items() if not (w == before[0].weights[name]).all()}
    assert (moved == {"output.bias"}) is dead
    assert any("dead start" in line for line in record.warnings) is dead
