"""A user's own package: its loss and its init in a sweep, and its runs read where it is missing."""

import json

import pytest

from harness.records.ledger import Ledger
from tests.support.driven import harness
from tests.support.packages import make_package
from tests.support.strange import FOCAL, LOPSIDED, OTHER_ENTRIES, OTHERS

pytestmark = pytest.mark.slow
MODULES = {
    "my_components/__init__.py": "", "my_components/focal.py": FOCAL,
    "my_components/lopsided.py": LOPSIDED, "my_components/broken.py": "raise RuntimeError(1)",
    "my_components/others.py": OTHERS,
}  # fmt: skip
ENTRIES = {
    "harness.losses:focal": "my_components.focal:SPEC",
    "harness.losses:broken": "my_components.broken:SPEC",
    "harness.losses:hinge": "my_components.focal:SPEC",
    "harness.inits:lopsided": "my_components.lopsided:SPEC",
    **OTHER_ENTRIES,
}

GRID = (
    "loss=focal", "loss.params.gamma=1,3", "init=kaiming,lopsided", "data.fraction=.02",
    "train.steps=20", "model.hidden=[6]",
)  # fmt: skip


def call(folder, *words, package=None, **env):
    """(exit code, stdout, stderr) of a command, with or without the package on the path."""
    return harness(*words, cwd=folder, **({"before": str(package)} if package else {}), **env)


def first_run(folder):
    return min(Ledger(folder / "runs").run_ids())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return make_package(folder, "my-components", modules=MODULES, entries=ENTRIES)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, package):
    """A folder with a sweep over both, trained in worker processes."""
    folder = tmp_path_factory.mktemp("swept")
    code, _, err = call(folder, "sweep", *GRID, "engine.workers=2", "--quiet", package=package)
    assert code == 0, err
    return folder


def rows(folder, *words, **options):
    code, out, err = call(folder, "compare", "--json", *words, **options)
    assert code == 0, err
    return json.loads(out)


def test_a_sweep_over_settings_of_a_plugin(swept, package):
    found = rows(swept, package=package)
    assert {(r["config"]["loss.params.gamma"], r["config"]["init.scheme"]) for r in found} == {
        (gamma, scheme) for gamma in (1.0, 3.0) for scheme in ("kaiming", "lopsided")
    }


def test_the_package_is_part_of_a_runs_identity(swept, tmp_path_factory, package):
    """The same sweep asks for the same runs; a newer version of the package for others."""
    newer = tmp_path_factory.mktemp("newer")
    make_package(newer, "my-components", version="1.1", modules=MODULES, entries=ENTRIES)
    asked = []
    for one in (package, newer):
        code, out, err = call(swept, "sweep", *GRID, "--dry-run", package=one)
        assert code == 0, err
        asked.append({line.split()[0] for line in out.splitlines()[:4]})
    assert asked[0] == set(Ledger(swept / "runs").run_ids())
    assert not asked[0] & asked[1] and len(asked[1]) == 4


def test_reproduced_to_the_last_bit(swept, package):
    run_id = first_run(swept)
    code, out, _ = call(swept, "reproduce", run_id, package=package)
    assert code == 0 and "bitwise equal" in out


def test_estimate_draws_what_is_known(swept, package):
    code, _, _ = call(swept, "estimate", "loss=focal", "--plot", "start.svg", package=package)
    assert code == 0 and "state none" in (swept / "start.svg").read_text()


@pytest.mark.parametrize("package_too", [True, False])
def test_stored_runs_are_read_with_and_without_the_package(swept, package, package_too):
    package = package if package_too else None
    run_id = first_run(swept)
    assert len(rows(swept, package=package)) == 4
    for words in (["list"], ["show", run_id], ["diff", run_id, run_id], ["sync"]):
        code, _, err = call(swept, *words, package=package)
        assert code == 0, err
    code, _, err = call(swept, "report", "-o", "page.html", package=package)
    assert code == 0, err
    assert "nats/char" in (swept / "page.html").read_text()


def test_from_mlflow_alone_without_the_package(swept):
    store = f"sqlite:///{swept / 'mlflow.db'}"
    assert len(rows(swept, "--uri", store)) == 4


def test_training_without_the_package_names_it(swept):
    run_id = first_run(swept)
    code, _, err = call(swept, "reproduce", run_id)
    assert code == 2 and "my-components 1.0; install that" in err
    code, _, err = call(swept, "train", "loss=focal")
    assert code == 2 and "loss is 'focal'; known" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss=broken"], "entry point harness.losses: broken = my_components.broken:SPEC"),
        (["loss=hinge"], "comes from harness itself and from my-components 1.0"),
        (["loss=focal", "loss.params.gama=1"], "Did you mean 'gamma'"),
        (["loss=mse", "loss.params.gamma=1"], "loss mse has none"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_made(tmp_path, package, words, message):
    code, _, err = call(tmp_path, "train", *words, package=package)
    assert code == 2 and message in err
    assert {path.name for path in tmp_path.iterdir()} == {"out", "err"}  # of this test itself


def test_a_broken_plugin_is_in_nobodys_way_and_all_can_be_switched_off(tmp_path, package):
    words = ["estimate", "loss=mse", "data.fraction=.02"]
    assert call(tmp_path, *words, package=package)[0] == 0
    words = ["estimate", "loss=hinge", "data.fraction=.02"]
    code, _, err = call(tmp_path, *words, package=package, HARNESS_DISABLE_PLUGINS="1")
    assert code == 0, err
    code, _, err = call(
        tmp_path, "estimate", "loss=focal", package=package, HARNESS_DISABLE_PLUGINS="1"
    )
    assert code == 2 and "loss is 'focal'" in err


STRANGE = (
    "init.bias=alternate", "reg=huber", "optim=sign", "optim.schedule=fade",
    "model.activation=sine", "loss=focal", "init=lopsided", "data=echo", "data.words=300",
    "train.metrics=[worst]", "train.steps=20", "model.hidden=[6]",
)  # fmt: skip


@pytest.fixture(scope="module")
def strange(tmp_path_factory, package):
    """A sweep in which no component that can be chosen is built in."""
    folder = tmp_path_factory.mktemp("strange")
    code, _, err = call(
        folder, "sweep", *STRANGE, "reg.params.delta=.1,1", "optim.params.floor=0,.01", "--quiet",
        package=package,
    )  # fmt: skip
    assert code == 0, err
    return folder


def test_a_strange_component_of_every_kind_is_trained_and_drawn(strange, package):
    found = rows(strange, package=package)
    assert len(found) == 4 and {r["config"]["reg.params.delta"] for r in found} == {0.1, 1.0}
    record = Ledger(strange / "runs").read_plain(first_run(strange))
    settings = record["config"]
    assert settings["reg"]["strength"] == 0.02 and settings["optim"]["lr"] == 0.004
    assert record["summary"]["penalty"] > 0 and record["verdict"] != "diverged"
    assert {place.partition("/")[2] for place in record["provenance"]["components"]} == {
        "alternate", "huber", "sign", "fade", "sine", "focal", "lopsided", "echo", "worst",
    }  # fmt: skip
    assert record["summary"]["worst/val"] > record["summary"]["nll/val"]
    assert "worst/test" in record["summary"] and record["symbols"] == [".", "x", "y", "z"]
    code, _, err = call(strange, "estimate", *STRANGE, "--plot", "a.svg", package=package)
    assert code == 0, err
    code, out, _ = call(strange, "reproduce", first_run(strange), package=package)
    assert code == 0 and "bitwise equal" in out


@pytest.mark.parametrize("package_too", [True, False])
def test_strange_runs_are_compared_and_reported(strange, package, package_too):
    """Labels, units and curves are what the specs say, in the ledger and in MLflow."""
    one = package if package_too else None
    code, out, err = call(strange, "compare", package=one, COLUMNS="300")
    assert code == 0 and "  worst" in out and "nats/letter" in out, err  # /val stands below
    for where in ([], ["--uri", f"sqlite:///{strange / 'mlflow.db'}"]):
        found = rows(strange, *where, package=one)
        assert len(found) == 4 and all("worst/val" in row["metrics"] for row in found)
        code, _, err = call(strange, "report", "-o", "page.html", *where, package=one)
        assert code == 0, err
        assert ">least expected</th>" in (strange / "page.html").read_text()
    for words in (["show", first_run(strange)], ["list"], ["sync"]):
        code, _, err = call(strange, *words, package=one)
        assert code == 0, err


def test_a_metric_that_says_so_is_a_curve_in_mlflow(strange):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{strange / 'mlflow.db'}")
    (child, *_) = client.search_runs(["1"], "tags.`harness.kind` = 'run'")
    steps = [point.step for point in client.get_metric_history(child.info.run_id, "worst/val")]
    assert len(steps) > 2 and steps == sorted(steps) and steps[-1] == 20
