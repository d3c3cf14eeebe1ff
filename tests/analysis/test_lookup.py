"""A run is found by any of its names, in the ledger first and in MLflow alone if need be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness import load_run
from harness.analysis.lookup import find_record
from harness.analysis.places import places
from harness.analysis.sources import read_sweep
from harness.config.groups import Data, Model, Train
from harness.config.run import RunConfig
from harness.config.settings import Tracking
from harness.engine.train import train
from harness.errors import ConfigError, HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.records.saved import config_yaml
from harness.tracking.tracker import open_tracking


@pytest.fixture(scope="module")
def records():
    base = {"data": Data(fraction=0.05), "model": Model(n_embd=3, hidden=(5,))}
    return train([RunConfig(seed=s, train=Train(steps=20), **base) for s in (0, 1)])


@pytest.fixture
def ledger(records, tmp_path):
    home = Ledger(tmp_path / "runs")
    for record in records:
        home.write(record)
    return home


@pytest.fixture(scope="module")
def store(records, tmp_path_factory):
    """(address, MLflow ids by run_id) of a store that holds both runs as a sweep."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    tracker = open_tracking(Tracking(uri=uri))
    tracker.open_sweep(new_sweep({r.run_id: r.config for r in records}))
    for record in records:
        tracker.finished(record)
    tracker.close()
    runs = MlflowClient(uri).search_runs(["1"], "tags.`harness.kind` = 'run'")
    return uri, {run.data.tags["harness.run_id"]: run.info.run_id for run in runs}


def same_net(net, record):
    x = net.encode(["", "em", "ann"])
    with torch.no_grad():
        return torch.equal(net(x), record.module()(x))


def test_by_id_and_prefix(records, ledger):
    one = records[0]
    for name in (one.run_id, one.run_id[:10]):
        assert same_net(load_run(name, ledger=ledger), one)
        assert same_net(load_run(name, ledger=ledger.root), one)


def test_by_saved_config(records, ledger, tmp_path):
    """The file finds its run, and an edited one finds another or none."""
    path = tmp_path / "config.yaml"
    path.write_text(config_yaml(records[1].config))
    assert find_record(path, places(ledger)).run_id == records[1].run_id
    path.write_text(config_yaml(records[1].config).replace("seed: 1", "seed: 0"))
    assert find_record(str(path), places(ledger)).run_id == records[0].run_id


def test_from_the_default_folder(records, ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_record(records[0].run_id).run_id == records[0].run_id


@pytest.mark.slow
def test_by_mlflow_id_with_the_ledger_at_hand(records, ledger, store):
    uri, ids = store
    found = find_record(ids[records[0].run_id], places(ledger, uri))
    assert found.series.keys() == records[0].series.keys()  # the ledger's record: curves too


@pytest.mark.slow
def test_from_mlflow_alone(records, store, tmp_path):
    """A colleague without the ledger has the best run's net, vocabulary, settings and numbers."""
    uri, ids = store
    best = min(records, key=lambda r: r.summary["nll/val"])
    for name in (best.run_id, best.run_id[:9], ids[best.run_id]):
        found = find_record(name, places(tmp_path / "none", uri))
        assert same_net(found.module(), best)
        assert found.config == best.config
        assert found.verdict == best.verdict
        assert found.summary["nll/val"] == best.summary["nll/val"]
    assert not (tmp_path / "none").exists()
    table = read_sweep(uri=uri)  # and a table of them hands the runs out whole
    whole = table.load_records([r.run_id for r in records])
    assert same_net(whole[best.run_id].module(), best)
    for record in records:
        steps, values = whole[record.run_id].series["grad/update_ratio/output"]
        np.testing.assert_array_equal(steps, record.series["grad/update_ratio/output"][0])
        np.testing.assert_array_equal(values, record.series["grad/update_ratio/output"][1])


@pytest.mark.slow
def test_weights_that_were_not_kept_are_said(records, store, tmp_path):
    uri, _ = store
    other = max(records, key=lambda r: r.summary["nll/val"])
    with pytest.raises(HarnessError, match="not kept"):
        load_run(other.run_id, ledger=tmp_path, uri=uri)


def test_unknown_names(records, ledger, tmp_path):
    absent = f"sqlite:///{tmp_path}/absent.db"
    with pytest.raises(ConfigError, match=r"called 'ffff', and there is no MLflow store"):
        load_run("ffff", ledger=ledger, uri=absent)
    assert not (tmp_path / "absent.db").exists()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_run(tmp_path / "absent.yaml", ledger=ledger)
    with pytest.raises(ConfigError, match="called ''"):
        load_run("", ledger=ledger, uri=absent)


@pytest.mark.slow
def test_unknown_to_mlflow(records, ledger, store):
    with pytest.raises(ConfigError, match=r"'ffff', nor does MLflow"):
        load_run("ffff", ledger=ledger, uri=store[0])
