"""What the first version left behind is read by every verb, from its ledger and from its store."""

import json
import sqlite3

import pytest

from harness.cli import main as cli
from tests.support.first_version import LOSSES, MOONS, SINGLE, unpack

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")  # MLflow's use of SQLAlchemy
PLACES = ("ledger", "store")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    return unpack(tmp_path_factory.mktemp("first"))


@pytest.fixture
def told(unpacked, tmp_path, monkeypatch, capfd):
    """told(place, *words) -> stdout of one command, which must succeed."""

    def run(place, *words):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.chdir(unpacked if place == "ledger" else tmp_path)
        if place == "store":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{unpacked / 'mlflow.db'}")
        capfd.readouterr()
        assert cli.run(list(words)) == 0, capfd.readouterr().err
        return capfd.readouterr().out

    return run


@pytest.mark.parametrize("place", PLACES)
def test_list(told, place):
    found = {one["sweep_id"]: one for one in json.loads(told(place, "list", "--json"))}
    assert found[LOSSES]["runs"] == found[LOSSES]["finished"] == 6
    assert found[LOSSES]["varying"] == ["loss.name", "seed"]
    assert found[MOONS]["runs"] == 4


@pytest.mark.parametrize("place", PLACES)
def test_list_of_one(told, place):
    runs = json.loads(told(place, "list", LOSSES[:6], "--json"))
    assert len(runs) == 6 and {run["status"] for run in runs} == {"FINISHED"}


@pytest.mark.parametrize("place", PLACES)
def test_show(told, place):
    shown = json.loads(told(place, "show", SINGLE, "--json"))
    assert shown["config"]["init.weight_scale"] == 3.0
    assert shown["metrics"]["nll/val"] == pytest.approx(5.13154, abs=5e-6)  # it printed this


@pytest.mark.parametrize("place", PLACES)
def test_compare(told, place):
    rows = json.loads(told(place, "compare", LOSSES, "--json"))
    best = {row["config"]["loss.name"]: row["metrics"]["best/nll_val"] for row in rows}
    assert best["mse"]["mean"] == pytest.approx(3.2603, abs=5e-5)  # as its leaderboard said
    assert best["nll"] == best["cross_entropy"]
    assert all(row["n"] == 2 for row in rows)
    moons = json.loads(told(place, "compare", MOONS, "--json"))
    assert len(moons) == 4 and sum("nll/val" in row["metrics"] for row in moons) == 2


@pytest.mark.parametrize("place", PLACES)
def test_diff(told, place):
    ids = [run["run_id"] for run in json.loads(told(place, "list", LOSSES, "--json"))]
    assert json.loads(told(place, "diff", ids[0], ids[1], "--json"))["config"] == {"seed": [0, 1]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sweep", [LOSSES, MOONS])
def test_report(told, place, sweep, tmp_path):
    told(place, "report", sweep, "-o", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert sweep[:8] in page and "diverged" in page and page.count("<svg") >= 2


@pytest.mark.parametrize("place", PLACES)
def test_sample(told, place):
    assert len(json.loads(told(place, "sample", SINGLE, "-n", "5", "--json"))["words"]) == 5


def test_sync_into_an_empty_store_and_again(told, unpacked, tmp_path):
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    assert "11 runs written" in told("ledger", "sync", "--uri", uri)
    assert "0 runs written" in told("ledger", "sync", "--uri", uri)
    assert len(json.loads(told("store", "compare", MOONS, "--uri", uri, "--json"))) == 4


def test_sync_adds_nothing_to_its_own_store(told, unpacked):
    def count():
        with sqlite3.connect(unpacked / "mlflow.db") as store:
            return store.execute("select count(*) from runs").fetchone()

    before = count()
    assert "0 runs written" in told("ledger", "sync")
    assert count() == before == (13,)  # 11 runs and two parents
