"""Schemes and biases draw what they say they draw; those that say nothing train all the same."""

import math

import numpy as np
import pytest

from harness.components.biases import BIASES, BiasSpec, Targets
from harness.components.inits import INITS, InitSpec
from harness.config.groups import Data, Init, Loss, Model
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.initialization import initial_weights
from harness.errors import ConfigError
from harness.theory.initial_loss import expected_initial_loss, verdict

FANS = [(400, 300), (300, 400)]
TARGETS = Targets(share=np.array([0.5, 0.25, 0.25, 0.0]), count=100, outputs=4)


def within(drawn, std, excess, errors=5):
    """Mean, spread and kurtosis of independent draws, each within so many standard errors."""
    n = drawn.size
    assert abs(drawn.mean()) <= errors * std / math.sqrt(n)
    assert abs(drawn.var() - std**2) <= errors * std**2 * math.sqrt((2 + excess) / n)
    if std:
        fourth = (drawn**4).mean() / std**4 - 3
        assert abs(fourth - excess) <= errors * math.sqrt(96 / n)  # at most the normal's error


@pytest.mark.parametrize(("fan_in", "fan_out"), FANS)
@pytest.mark.parametrize("name", INITS)
def test_a_scheme_has_the_law_it_says(name, fan_in, fan_out):
    spec, rng = INITS.get(name), np.random.default_rng(3)
    drawn = spec.draw(fan_in, fan_out, 1.7, rng)
    assert drawn.shape == (fan_in, fan_out) and drawn.dtype == np.float64
    within(drawn, spec.std(fan_in, fan_out, 1.7), spec.kurtosis)
    table = spec.embedding(fan_in, fan_out, rng)
    assert table.shape == (fan_in, fan_out)
    within(table, spec.embedding_std, spec.embedding_kurtosis)
    square = drawn.T @ drawn if fan_in >= fan_out else drawn @ drawn.T
    scale = spec.std(fan_in, fan_out, 1.7) ** 2 * max(fan_in, fan_out)
    apart = np.abs(square - scale * np.eye(len(square))).max()
    assert spec.orthogonal == (scale > 0 and apart < 1e-12 * scale)


def test_which_schemes_shrink_with_the_fan_in():
    assert set(INITS.having(scaled=True)) == {"kaiming", "xavier", "orthogonal"}


@pytest.mark.parametrize("name", BIASES)
def test_a_bias_has_the_law_it_says(name):
    spec, rng = BIASES.get(name), np.random.default_rng(4)
    if spec.of_symbols:
        return
    drawn, law = spec.draw(40_000, 0.7, rng, TARGETS), spec.law(0.7)
    std = math.hypot(law.std, law.half_width / math.sqrt(3))
    within(drawn - law.mean, std, -1.2 if law.half_width else 0.0)
    assert np.abs(drawn).max() <= law.half_width or not law.half_width
    if spec.vector is not None:
        assert np.array_equal(spec.vector(TARGETS), spec.draw(4, 0.7, rng, TARGETS))


def test_log_unigram_is_ln_p_and_a_symbol_never_seen_counts_half_once():
    want = [math.log(0.5), math.log(0.25), math.log(0.25), math.log(0.005)]
    assert BIASES.get("log_unigram").vector(TARGETS) == pytest.approx(want, rel=1e-15)


@pytest.mark.parametrize("registry", [INITS, BIASES])
def test_an_unknown_name_is_refused_at_the_lookup(registry):
    with pytest.raises(ConfigError, match=r"'normall'.*Did you mean 'normal'"):
        registry.get("normall")


def test_config_refuses_names_and_places():
    for bad in ({"scheme": "kaimin"}, {"bias": "zeros"}, {"output_bias": "unigram"}):
        with pytest.raises(ConfigError, match=r"allowed: one of .*Did you mean"):
            Init(**bad)
    with pytest.raises(ConfigError, match=r"init\.output_bias=log_unigram"):
        Init(bias="log_unigram")
    binary = RunConfig(data=Data(name="points"), loss=Loss(name="max_margin"))
    assert binary.resolved().init.output_bias == "zero"
    with pytest.raises(ConfigError, match="no symbols"):
        RunConfig(data=Data(name="points"), loss=Loss(name="max_margin"),
                  init=Init(output_bias="log_unigram"))  # fmt: skip


@pytest.fixture
def strange(monkeypatch):
    """A scheme and a bias of one function each, and a scheme that draws the wrong shape."""
    for registry in (INITS, BIASES):
        monkeypatch.setattr(registry, "_registered", {})
    INITS.register("silent", InitSpec(draw=lambda i, o, _g, rng: rng.laplace(size=(i, o))))
    INITS.register("turned", InitSpec(draw=lambda i, o, _g, rng: rng.laplace(size=(o, i))))
    BIASES.register("ramp", BiasSpec(draw=lambda n, s, _rng, _t: s * np.linspace(-1, 1, n)))


@pytest.mark.parametrize("init", [{"scheme": "silent"}, {"bias": "ramp"}, {"output_bias": "ramp"}])
def test_without_a_law_no_loss_is_expected(strange, init):
    run = RunConfig(data=Data(fraction=0.05), init=Init(**init), model=Model(hidden=(8,)))
    data = load_data(run.data)
    found = expected_initial_loss(run, data)
    assert (found.expected, found.sd, found.layers) == (None, None, ())
    assert found.uniform == pytest.approx(math.log(data.V))
    assert next(iter(init.values())) in found.advice
    assert verdict(3.3, found).z is None
    weights = initial_weights(run.resolved(), data)
    assert weights["output.weight"].shape == (8, data.V)


def test_a_draw_of_the_wrong_shape_is_named(strange):
    run = RunConfig(data=Data(fraction=0.05), init=Init(scheme="turned"), model=Model(hidden=(8,)))
    with pytest.raises(ConfigError, match=r"init\.scheme=turned.*\(8, 30\).*\(30, 8\)"):
        initial_weights(run.resolved(), load_data(run.data))
