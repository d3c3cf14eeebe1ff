"""Settings in a notebook: short, true reprs, and groups by the name of a component."""

import pytest
import yaml

from harness.config.groups import GROUPS, Data, Init, Loss, Model, Optim, Reg, Train
from harness.config.run import RunConfig
from harness.config.settings import Tracking
from harness.errors import ConfigError
from harness.paths import conf_dir

YAMLS = sorted(p for g in ("loss", "reg", "optim", "init") for p in (conf_dir() / g).glob("*.yaml"))


@pytest.mark.parametrize(
    "run",
    [RunConfig(), RunConfig(seed=3, loss=Loss(name="mse"), model=Model(hidden=[8, 4])),
     RunConfig(reg=Reg(name="l2", strength=0.5), init=Init(seed=7), train=Train(batch_size="full")),
     RunConfig(data=Data(name="moons"), loss=Loss(name="max_margin"), optim=Optim(lr=0.3))],
)  # fmt: skip
def test_a_repr_is_the_call_that_makes_the_run(run):
    made = eval(repr(run), {"RunConfig": RunConfig, **{k.__name__: k for k in GROUPS.values()}})
    assert made == run
    assert len(repr(run)) < 150


def test_a_repr_shows_what_differs_and_no_more():
    assert repr(RunConfig()) == "RunConfig()"
    one = RunConfig(init=Init(weight_scale=3), train=Train(steps=10))
    assert repr(one) == "RunConfig(init=Init(weight_scale=3.0), train=Train(steps=10))"
    assert one.changed() == {"init.weight_scale": 3.0, "train.steps": 10}
    assert "init.weight_scale" in one._repr_html_() and "optim" not in one._repr_html_()


def test_no_password_is_in_a_repr():
    assert "secret" not in repr(Tracking(uri="http://me:secret@host", artifacts="s3://k:secret@b"))


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_a_group_by_name_is_what_the_command_line_makes_of_it(path):
    """Where the name is a component's; a YAML of several settings is asked for by those."""
    group, content = path.parent.name, yaml.safe_load(path.read_text(encoding="utf-8"))
    around = {}
    if path.stem in ("squared_error", "max_margin", "binary_cross_entropy"):
        around = {"data": Data(name="moons")}
    if content.get("name", content.get("scheme")) != path.stem:
        with pytest.raises(ConfigError, match=f"{group} is '{path.stem}'; allowed: one of"):
            RunConfig(**{group: path.stem})
        return
    assert getattr(RunConfig(**{group: path.stem}, **around), group) == GROUPS[group](**content)


def test_points_by_name():
    run = RunConfig(data="four_points", loss="squared_error")
    assert run.data == Data(name="four_points", split=(1, 0, 0))


@pytest.mark.parametrize(
    ("group", "given", "words"),
    [("loss", "mze", "Did you mean 'mse'"), ("model", "deep", r"Model\(n_embd=10\)"),
     ("loss", {"name": "mse"}, r"harness\.run_config"), ("train", 100, r"Train\(steps=2000\)"),
     ("optim", Loss(), "or a name, such as 'sgd'")],
)  # fmt: skip
def test_what_is_no_group_is_told_what_to_write(group, given, words):
    with pytest.raises(ConfigError, match=words):
        RunConfig(**{group: given})
