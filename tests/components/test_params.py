"""Settings that components declare: types, ranges, messages."""

import functools

import pytest

from harness import Data, Model, Optim, RunConfig, Train, train
from harness.components import (
    LOSSES,
    REGISTRIES,
    LossSpec,
    ScheduleSpec,
    check,
    register,
)
from harness.components.params import Param, Settings
from harness.components.spec import params_of
from harness.errors import ConfigError, PluginError
from tests.support.packages import make_package

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


WITHOUT = ("biases", "schedules", "activations", "sources", "metrics")


def strange(kind, **more):
    """A spec of this kind whose one function is never called."""
    required = {
        "biases": "draw", "schedules": "factor", "activations": "function", "sources": "load",
    }  # fmt: skip
    return REGISTRIES[kind].spec(**{required.get(kind, "value"): print}, **more)


@pytest.mark.parametrize("kind", WITHOUT)
def test_settings_that_no_config_can_give_are_refused(kind):
    """Else the function would be called without them, in the middle of training."""
    spec = strange(kind, params={"slope": Param(default=0.1)})
    with pytest.raises(ConfigError, match=r"declares settings of its own \(slope\).*slope=0\.1"):
        register(f"sloped_{kind}", spec)
    assert f"sloped_{kind}" not in REGISTRIES[kind]
    (said,) = check(spec)
    assert "declares settings of its own (slope)" in said


def test_those_kinds_are_all_but_the_four_that_a_config_has_a_place_for():
    assert [name for name, one in REGISTRIES.items() if not one.configurable] == list(WITHOUT)


def test_a_plugin_that_declares_them_is_refused_by_name(tmp_path, monkeypatch):
    text = """
from harness.components import Param, ScheduleSpec

SPEC = ScheduleSpec(factor=lambda step, steps, slope: 1.0, params={"slope": Param(default=0.1)})
"""
    make_package(
        tmp_path, "sloped", modules={"sloped_schedule.py": text},
        entries={"harness.schedules:sloped": "sloped_schedule:SPEC"},
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match="schedule 'sloped' declares settings of its own"):
        Optim(schedule="sloped")


def test_a_name_for_each_value_does_what_settings_would():
    def ramp(step, steps, slope):
        return 1 - slope * step / steps

    def run(name):
        small = {"data": Data(fraction=0.02), "model": Model(hidden=(4,)), "train": Train(steps=8)}
        return RunConfig(optim=Optim(schedule=name), **small)

    for slope in (0.1, 0.9):
        spec = ScheduleSpec(factor=functools.partial(ramp, slope=slope))
        register(f"ramp{int(100 * slope)}", spec)
    slow, fast = train([run("ramp10"), run("ramp90")])
    assert slow.config.optim.factor(4, 8) == 0.95 and fast.config.optim.factor(4, 8) == 0.55
    assert slow.run_id != fast.run_id and slow.summary["nll/train"] != fast.summary["nll/train"]


def test_a_column_may_be_named_by_number(tmp_path):
    """As a command line gives it; the number and its text are one run."""
    assert Data(name="file", path="t.csv", column=1) == Data(name="file", path="t.csv", column="1")
