"""Settings that components declare: types, ranges, messages."""

import pytest

from harness.components import LOSSES, LossSpec
from harness.components.params import Param, Settings
from harness.components.spec import params_of
from harness.errors import ConfigError

DECLARED = {
    "gamma": Param(default=2.0, low=0.0, high=10.0),
    "turns": Param(default=3, above=0),
    "side": Param(default="left", one_of=("left", "right")),
    "strict": Param(default=False),
}


def read(given):
    spec = LossSpec(value=lambda *_: None, params=DECLARED)
    return params_of(spec, given, "loss.params", "loss focal")


def test_defaults_are_filled_in_and_numbers_take_the_declared_type():
    assert dict(read(None)) == {"gamma": 2.0, "turns": 3, "side": "left", "strict": False}
    got = read({"gamma": 1, "turns": 4.0})
    assert dict(got) == {"gamma": 1.0, "turns": 4, "side": "left", "strict": False}
    assert type(got["gamma"]) is float and type(got["turns"]) is int


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 11}, r"loss\.params\.gamma is 11; allowed: a number from 0 to 10"),
        ({"gamma": "2"}, r"loss\.params\.gamma is '2'"),
        ({"gamma": True}, r"loss\.params\.gamma is true"),
        ({"gamma": float("nan")}, r"loss\.params\.gamma is nan"),
        ({"turns": 0}, "a whole number above 0"),
        ({"turns": 1.5}, "a whole number"),
        ({"side": "lift"}, r"one of left, right\. Did you mean 'left'\?"),
        ({"strict": "yes"}, "true or false"),
        ({"gama": 1}, r"loss\.params\.gama is not a setting of the loss focal; .*'gamma'\?"),
        ([1], "must be a mapping"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        read(given)


def test_a_component_without_settings_takes_none():
    with pytest.raises(ConfigError, match=r"known: none, loss mse has none"):
        params_of(LOSSES.get("mse"), {"gamma": 1}, "loss.params", "loss mse")


def test_settings_are_equal_and_hash_by_value():
    one, two = Settings({"a": 1, "b": 2}), Settings({"b": 2, "a": 1})
    assert one == two and hash(one) == hash(two) and one != Settings({"a": 1})
