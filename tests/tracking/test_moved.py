"""A moved project folder is noticed, said, and mended by one command; a finished run is shown."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from harness.cli import ui
from harness.config.settings import Tracking
from harness.errors import HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.tracking.addresses import store_address
from harness.tracking.moved import MovedError, moved_from
from harness.tracking.reader import MlflowReader
from harness.tracking.tracker import TrackingWarning, open_tracking, sync
from tests.support.driven import TINY, harness
from tests.support.made import made_record
from tests.support.stores import fresh_store, search

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a sweep in ledger and store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "first home"
    home.mkdir()
    monkeypatch.chdir(home)
    fresh_store("mlflow.db")
    ledger, records = Ledger("runs"), [made_record(seed) for seed in range(2)]
    ledger.write_many(records)
    ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    assert sync(ledger).written == 2
    assert moved_from(home / "mlflow.db") == {}
    return home


def test_artifacts_are_found_again_by_one_command(project, tmp_path, monkeypatch):
    import pandas as pd
    from mlflow import pyfunc, set_tracking_uri

    new = tmp_path / "second"
    project.rename(new)
    monkeypatch.chdir(new)
    assert list(moved_from(new / "mlflow.db").values()) == [project]
    with pytest.raises(MovedError, match=r"was at .*first home before.*`harness sync` mends"):
        MlflowReader()
    with pytest.raises(MovedError):
        ui.serve()
    said = []
    assert sync(Ledger("runs"), say=said.append).written == 0
    assert any("was at" in text and "beside it" in text for text in said)
    reader = MlflowReader()
    [parent] = reader.parents()
    assert reader.artifact(parent, "runs.parquet") and not project.exists()
    for run in reader.children(parent):
        assert reader.artifact(run, "config.yaml")
    set_tracking_uri(store_address(None))
    try:
        model = pyfunc.load_model(parent.data.tags["harness.best_model"])
        assert len(model.predict(pd.DataFrame({"context": [""]}))) == 1
    finally:
        set_tracking_uri(None)
    said.clear()
    assert sync(Ledger("runs"), say=said.append).written == 0
    assert not any("was at" in text for text in said)


def test_a_sweep_in_a_moved_project_says_so_and_makes_no_old_folder(project, tmp_path, monkeypatch):
    new = tmp_path / "second"
    project.rename(new)
    monkeypatch.chdir(new)
    ledger, record = Ledger("runs"), made_record(9)
    ledger.write_many([record])
    sweep = ledger.write_sweep(new_sweep({record.run_id: record.config}))
    tracker = open_tracking(None, ledger)
    tracker.open_sweep(sweep)
    tracker.finished(record.run_id)
    with pytest.warns(TrackingWarning) as told:
        report = tracker.close()
    assert re.search(r"first home.*`harness sync` mends", str(told[0].message))
    assert report.behind == 1 and not project.exists()
    assert sync(ledger).written == 1
    assert not project.exists() and len(search(store_address(None))) == 5


def test_a_copy_keeps_to_its_own_artifacts(project, tmp_path, monkeypatch):
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    assert list(moved_from(Path("mlflow.db").absolute()).values()) == [project]
    sync(Ledger("runs"))
    assert moved_from(Path("mlflow.db").absolute()) == {}
    assert moved_from(project / "mlflow.db") == {}  # the first one is as it was


def test_a_link_to_the_folder_is_no_move(project, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(project)
    assert moved_from(tmp_path / "link" / "mlflow.db") == {}


def test_artifacts_that_a_user_put_elsewhere_are_not_ours_to_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fresh_store("mlflow.db")
    ledger, record = Ledger("runs"), made_record(1)
    ledger.write_many([record])
    ledger.write_sweep(new_sweep({record.run_id: record.config}))
    (tmp_path / "share").mkdir()
    sync(ledger, Tracking(artifacts="share/files"))
    shutil.rmtree(tmp_path / "share")
    assert moved_from(tmp_path / "mlflow.db") == {}


def test_what_is_no_database_was_not_moved(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert moved_from(tmp_path / "mlflow.db") == moved_from(tmp_path / "absent.db") == {}
    assert issubclass(MovedError, HarnessError)


@pytest.mark.slow
def test_a_finished_run_asked_for_again_tells_the_truth_of_mlflow(tmp_path):
    """Into a store that was deleted, and into another experiment, it is written; off says nothing
    of MLflow."""
    words = ["train", *TINY, "train.steps=10", "--quiet"]

    def asked(*more):
        code, out, err = harness(*words, *more, cwd=tmp_path)
        assert code == 0, err
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
            return out, [row[0] for row in base.execute("SELECT experiment_id FROM runs")]

    out, there = asked()
    assert "harness ui" in out and len(there) == 1
    (tmp_path / "mlflow.db").unlink()
    for left in tmp_path.glob("mlflow.db-*"):
        left.unlink()
    out, there = asked()
    assert "harness ui" in out and len(there) == 1
    out, there = asked("tracking.experiment=other")
    assert "harness ui" in out and len(set(there)) == 2
    out, there = asked("tracking=off")
    assert "harness ui" not in out and len(there) == 2
