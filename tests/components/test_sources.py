"""Every source keeps its spec's word, and one of a user's own is trained like the built-in ones."""

import numpy as np
import pytest

from harness.components.sources import SOURCES, Points, SourceSpec, Words
from harness.config.groups import Data, Loss, Model, Train
from harness.config.labels import nll_unit
from harness.config.run import RunConfig
from harness.data.dataset import load_data, source_checksum
from harness.engine.train import train
from harness.errors import ConfigError, DataError

BUILT_IN = [
    name for name in SOURCES.built_in() if not SOURCES.get(name).path and name != "makemore"
]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_source_is_what_its_spec_says(name):
    split = (1.0, 0.0, 0.0) if name == "four_points" else (0.8, 0.1, 0.1)
    spec, settings = SOURCES.get(name), Data(name=name, words=50, split=split)
    found, again = spec.load(settings), spec.load(settings)
    assert isinstance(found, Points if spec.kind == "binary" else Words)
    assert spec.unit == ("nats/example" if spec.kind == "binary" else "nats/char")
    assert found.sha256 == again.sha256 == source_checksum(settings)
    moved = spec.load(Data(name=name, words=60, source_seed=1))
    assert (moved.sha256 != found.sha256) == ("words" in spec.reads)
    assert (
        RunConfig(data=settings, loss=Loss(name="max_margin" if spec.kind == "binary" else "mse"))
        .resolved()
        .data.unique_words
        is spec.unique_words
    )
    data = load_data(settings)
    assert data.kind == spec.kind and (data.oracle is None) == (spec.oracle is None)


def test_units_of_mixed_sources():
    assert nll_unit(["points", "moons"]) == "nats/example"
    assert nll_unit(["census", "moons"]) == nll_unit(["census"]) == nll_unit([]) == "nats/char"


def test_an_unknown_name_is_refused():
    for refused in (lambda: SOURCES.get("cencus"), lambda: Data(name="cencus")):
        with pytest.raises(ConfigError, match=r"'cencus'.*Did you mean 'census'"):
            refused()


def test_a_path_is_for_those_who_read_one():
    with pytest.raises(ConfigError, match=r"data=census reads no file; use data=file or data=make"):
        Data(path="words.txt")
    with pytest.raises(ConfigError, match=r"data=file needs a UTF-8 word list"):
        Data(name="file")


def test_a_loss_must_be_of_the_sources_kind():
    with pytest.raises(ConfigError, match=r"does not fit data=moons; allowed there: binary_cross"):
        RunConfig(data=Data(name="moons"))


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setattr(SOURCES, "_registered", {})
    rng = np.random.default_rng(0)
    words = tuple("".join(rng.choice(list("ab"), rng.integers(1, 5))) for _ in range(200))
    SOURCES.register("dice", SourceSpec(load=lambda _: Words(words=words, notes=("thrown",)),
                                        unique_words=False))  # fmt: skip
    x = rng.standard_normal((60, 5)).astype(np.float32)
    SOURCES.register("cloud", SourceSpec(
        load=lambda _: Points(x_NI=x, y_N=np.where(x[:, 0] > 0, 1, -1)),
        kind="binary", unit="nats/blip",
    ))  # fmt: skip
    SOURCES.register("liar", SourceSpec(load=lambda _: Words(words=words), kind="binary"))


def test_sources_of_a_users_own(own):
    """Words, and points of five dimensions: trained, and alike alone and together."""
    runs = [
        RunConfig(data=Data(name="dice"), model=Model(hidden=(6,)), train=Train(steps=3)),
        RunConfig(data=Data(name="cloud"), model=Model(hidden=(6,)), train=Train(steps=3),
                  loss=Loss(name="max_margin")),
    ]  # fmt: skip
    words, cloud = train(runs)
    assert words.symbols == (".", "a", "b") and words.config.data.name == "dice"
    assert load_data(runs[0].data).notes[0] == "thrown"
    assert cloud.weights["hidden.0.weight"].shape == (5, 6)
    assert nll_unit(["cloud"]) == "nats/blip"


def test_a_source_of_the_wrong_kind_is_named(own):
    with pytest.raises(DataError, match=r"data=liar gave a Words.*'binary' gives Points"):
        load_data(Data(name="liar"))
