"""conf/ says what the dataclasses say: same keys, same defaults, a file for every name."""

import pytest
import yaml

from harness.components.inits import INITS
from harness.components.losses import LOSSES
from harness.components.optimizers import OPTIMIZERS
from harness.components.penalties import PENALTIES
from harness.components.sources import SOURCES
from harness.config.run import RunConfig, run_config
from harness.config.settings import CLUSTERS, Ledger, Tracking, own_settings
from harness.paths import conf_dir


def read(name):
    return yaml.safe_load((conf_dir() / name).read_text(encoding="utf-8"))


def test_config_yaml_holds_every_default():
    whole = read("config.yaml")
    tracking, ledger = whole["tracking"], whole["ledger"]
    clusters = {name: whole["engine"][name] for name in CLUSTERS}
    del whole["defaults"], whole["hydra"]
    own = own_settings(whole)
    assert set(own) == {key.partition(".")[0] for key in RunConfig().flat()}
    assert run_config(own) == RunConfig()
    assert own == RunConfig().nested()
    assert Tracking(**tracking) == Tracking()
    assert set(tracking) == set(vars(Tracking()))
    assert Ledger(**ledger) == Ledger()
    assert set(ledger) == set(vars(Ledger()))
    assert clusters == {name: vars(kind()) for name, kind in CLUSTERS.items()}


@pytest.mark.parametrize(
    ("group", "names"),
    [("loss", LOSSES.built_in()), ("reg", PENALTIES.built_in()), ("optim", OPTIMIZERS.built_in()),
     ("data", SOURCES), ("init", INITS.built_in())],
)  # fmt: skip
def test_every_name_has_its_file(group, names):
    key = "scheme" if group == "init" else "name"
    for name in names:
        assert read(f"{group}/{name}.yaml")[key] == name


def test_a_loss_is_two_lines():
    for path in (conf_dir() / "loss").iterdir():
        assert len(path.read_text().splitlines()) == 2


def test_every_regularizer_sets_its_strength():
    strengths = {name: read(f"reg/{name}.yaml")["strength"] for name in PENALTIES.built_in()}
    assert strengths["none"] == 0
    assert strengths["l2"] == 0.01  # as in the lecture's notes
    assert strengths["dropout"] == 0.1
    assert all(value > 0 for name, value in strengths.items() if name != "none")


def test_the_main_job_is_360_runs():
    sweeper = read("experiment/main.yaml")["hydra"]["sweeper"]
    sizes = {key: len(str(value).split(",")) for key, value in sweeper["params"].items()}
    assert list(sizes.values()) == [5, 5, 4, 2, 3, 3]
    assert sweeper["zip"] == [["loss", "optim.lr"]]  # each loss at its own rate: 5, not 25


def test_every_file_opens_with_a_remark():
    for path in conf_dir().rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("#"), path
