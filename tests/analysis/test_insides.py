"""The insides of a network: exact counts, the logged shares, true directions of an embedding."""

import dataclasses
import re

import numpy as np
import pytest

from harness import train
from harness.analysis import insides as module
from harness.analysis.insides import embedding_in_plane, insides
from harness.config.groups import Data, Engine, Init, Model, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.errors import ConfigError, HarnessError

WORDS = Data(name="markov", words=300)


@pytest.fixture(scope="module")
def record():
    config = RunConfig(
        data=WORDS, model=Model(hidden=(20, 12)), init=Init(weight_scale=2.0, bias="normal"),
        train=Train(steps=3), engine=Engine(dtype="float64"),
    )  # fmt: skip
    (found,) = train([config])
    return found


def forward(record, codes_NT):
    """Pre-activations of every layer, all examples one by one, in numpy."""
    w = {name: tensor.numpy() for name, tensor in record.weights.items()}
    h, out = w["embedding.weight"][codes_NT].reshape(len(codes_NT), -1), []
    for name in ("hidden.0", "hidden.1", "output"):
        out.append(h @ w[f"{name}.weight"] + w[f"{name}.bias"])
        h = np.tanh(out[-1])
    return out


def test_histograms_count_every_example_and_unit(record):
    data = load_data(WORDS)
    layers = insides(record)
    assert [layer.name for layer in layers] == ["hidden.0", "hidden.1", "output"]
    for layer, pre_NO in zip(layers, forward(record, data.train.x), strict=True):
        assert layer.pre.total == pre_NO.size == data.train.n * pre_NO.shape[1]
        np.testing.assert_allclose(layer.pre.edges_B1[[0, -1]], [pre_NO.min(), pre_NO.max()])
        want = np.histogram(pre_NO, layer.pre.edges_B1)[0]
        assert abs(layer.pre.count_B - want).sum() <= 4  # the two ends, by rounding
        assert layer.pre.density_B @ np.diff(layer.pre.edges_B1) == pytest.approx(1)
        if layer.post is not None:
            want = np.histogram(np.tanh(pre_NO), layer.post.edges_B1)[0]
            assert abs(layer.post.count_B - want).sum() <= 4
    assert layers[-1].post is None


def test_shares_at_the_start_are_those_that_were_logged(record):
    for layer in insides(record, when="start")[:-1]:
        want = record.summary[f"init/saturated/{layer.name}"]
        assert want > 0.05
        assert layer.saturated == pytest.approx(want, abs=1e-9)


def test_maps_say_where_the_first_examples_are_saturated(record):
    data = load_data(WORDS)
    for layer, pre_NO in zip(
        insides(record, examples=9), forward(record, data.train.x), strict=True
    ):
        if layer.name == "output":
            assert layer.saturated_EO is None
            continue
        np.testing.assert_array_equal(layer.saturated_EO, np.abs(np.tanh(pre_NO[:9])) > 0.97)
        assert layer.saturated == pytest.approx((np.abs(np.tanh(pre_NO)) > 0.97).mean(), abs=1e-12)


def test_large_splits_are_thinned_evenly(record, monkeypatch):
    whole = insides(record)
    monkeypatch.setattr(module, "VALUES", 4000)
    thin = insides(record)
    assert thin[0].pre.total <= 4000 < whole[0].pre.total / 5
    assert thin[0].saturated == pytest.approx(whole[0].saturated, abs=0.06)  # 3 sd of 200 examples


def test_nothing_saturates_where_the_activation_has_no_such_thing(record):
    linear = dataclasses.replace(
        record.config, model=dataclasses.replace(record.config.model, activation="linear")
    )
    layers = insides(dataclasses.replace(record, config=linear), when="start")
    assert all(layer.saturated is None and layer.saturated_EO is None for layer in layers)


def test_what_cannot_be_had_is_told(record):
    with pytest.raises(HarnessError, match="are not kept"):
        insides(dataclasses.replace(record, weights={}))
    with pytest.raises(ConfigError, match="examples is 0"):
        insides(record, examples=0)
    old = dataclasses.replace(record, provenance={**record.provenance, "numerics": 1})
    with pytest.raises(HarnessError, match="version 1 of the numerics"):
        insides(old, when="start")
    huge = {name: tensor * 1e200 for name, tensor in record.weights.items()}
    with pytest.raises(HarnessError, match=re.escape("not finite")):
        insides(dataclasses.replace(record, weights=huge))


def test_embedding_in_the_plane_keeps_distances_of_points_in_a_plane():
    rng = np.random.default_rng(3)
    place_V2 = rng.normal(size=(12, 2)) * [3, 1]
    turned = np.linalg.qr(rng.normal(size=(7, 2)))[0]  # two orthonormal directions of seven
    found_V2, share = embedding_in_plane(place_V2 @ turned.T + 5)
    far = np.linalg.norm(place_V2[:, None] - place_V2, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found_V2[:, None] - found_V2, axis=-1), far)
    assert share.sum() == pytest.approx(1) and share[0] > share[1]
    same, none = embedding_in_plane(place_V2)
    assert none is None
    np.testing.assert_array_equal(same, place_V2)
    assert (embedding_in_plane(np.zeros((4, 3)))[1] == 0).all()
    with pytest.raises(ConfigError, match="1 dimensions"):
        embedding_in_plane(np.zeros((4, 1)))


def test_batch_norm_is_looked_at_in_evaluation_mode(record):
    config = dataclasses.replace(
        record.config, model=dataclasses.replace(record.config.model, batch_norm=True)
    )
    (found,) = train([config])
    layer = insides(found, when="start")[0]
    assert layer.saturated == pytest.approx(found.summary["init/saturated/hidden.0"], abs=1e-9)
