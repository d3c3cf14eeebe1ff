"""Runs made in Python are kept and shown as those of the command line are."""

import json

import pytest

from harness import ConfigError, Data, Init, Ledger, RunConfig, Tracking, Train, read_sweep, train
from harness.analysis.lookup import find_record
from harness.cli import main as cli
from harness.tracking.reader import MlflowReader

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")  # MLflow's use of SQLAlchemy


def tiny(seed=0, scale=1.0):
    return RunConfig(
        seed=seed, init=Init(weight_scale=scale), train=Train(steps=4), data=Data(fraction=0.02)
    )


GRID = [tiny(s, g) for g in (0.3, 1.0) for s in (0, 1)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_nothing_is_written_unless_asked(here):
    train(GRID[:1])
    assert list(here.iterdir()) == []


def test_with_a_ledger_they_are_a_sweep_that_every_verb_finds(here, capsys):
    records = train(GRID, ledger="runs")
    table = read_sweep()
    assert table.runs["run_id"].tolist() == [r.run_id for r in records]
    assert table.varying == ("init.weight_scale", "seed")
    assert cli.run(["list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["runs"], listed["finished"]) == (4, 4)
    assert find_record("best").run_id in {r.run_id for r in records}
    done = []
    again = train(GRID, ledger="runs", progress=lambda *now: done.append(now))
    assert done == [] and [r.run_id for r in again] == [r.run_id for r in records]


def test_one_run_is_a_single_run(here):
    [record] = train([tiny(7)], ledger=Ledger("kept"))
    [manifest] = Ledger("kept").sweeps("single")
    assert manifest.sweep_id == record.run_id and "seed=7" in manifest.names[record.run_id]


@pytest.mark.parametrize("ledger", ["runs", None])
def test_they_are_shown_in_mlflow_with_a_ledger_or_without(here, ledger):
    uri = f"sqlite:///{here / 'store.db'}"
    records = train(GRID, ledger=ledger, tracking=Tracking(uri=uri, experiment="from-python"))
    there = read_sweep("from-python", uri=uri)
    assert sorted(there.runs["run_id"]) == sorted(r.run_id for r in records)
    assert there.runs["best/nll_val"].notna().all()
    store = MlflowReader(uri)
    [parent] = store.parents()
    assert parent.info.status == "FINISHED" and len(store.children(parent)) == 4


def test_runs_finished_before_are_shown_too(here):
    uri = f"sqlite:///{here / 'store.db'}"
    train(GRID[:2], ledger="runs")
    train(GRID, ledger="runs", tracking=Tracking(uri=uri))
    assert len(read_sweep(uri=uri).runs) == 4


def test_what_is_no_tracking_is_refused(here):
    with pytest.raises(ConfigError, match=r"allowed: None, or harness\.Tracking"):
        train(GRID, tracking="sqlite:///x.db")
    assert list(here.iterdir()) == []
