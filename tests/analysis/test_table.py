"""Sweeps read back as tables: the ledger and MLflow alone must tell the same."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3

import numpy as np
import pandas as pd
import pytest

from harness import ConfigError, compare
from harness.analysis.sources import read_sweep
from harness.analysis.stored import mlflow_table
from harness.analysis.table import join, known_column, table_of
from harness.config.settings import Tracking
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.render.report import build
from harness.tracking.reader import MlflowReader, setting
from harness.tracking.tracker import open_tracking
from tests.support.made import made_record

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")  # MLflow's use of SQLAlchemy


def records(scales=(0.1, 1.0), seeds=2):
    return [made_record(s, scale=g) for g in scales for s in range(seeds)]


def keep(ledger, runs, *, uri=None, overrides=("x=1",), experiment="harness"):
    for record in runs:
        ledger.write(record)
    made = new_sweep(
        {r.run_id: r.config for r in runs}, overrides=overrides,
        tracking={"experiment": experiment},
    )  # fmt: skip
    sweep = ledger.write_sweep(made)
    if uri:
        tracker = open_tracking(Tracking(uri=uri, experiment=experiment), ledger)
        tracker.open_sweep(sweep)
        for record in runs:
            tracker.finished(record)
        tracker.close()
    return sweep


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """(ledger, address, sweeps): two sweeps in two experiments, in both places."""
    folder = tmp_path_factory.mktemp("store")
    ledger, uri = Ledger(folder / "runs"), f"sqlite:///{folder / 'mlflow.db'}"
    first = keep(ledger, records(), uri=uri)
    second = keep(ledger, records((1.0, 3.0)), uri=uri, experiment="other")
    return ledger, uri, (first, second)


def same_runs(a, b):
    shared = [c for c in a.runs.columns if c not in ("mlflow_run_id", "warnings")]
    pd.testing.assert_frame_equal(a.runs[shared], b.runs[shared])


def ordered(curves):
    return curves.sort_values(["run_id", "name", "step"], ignore_index=True)


def test_mlflow_alone_tells_what_the_ledger_tells(store):
    ledger, uri, (first, _) = store
    here, there = read_sweep(first.sweep_id, ledger=ledger), read_sweep(first.sweep_id, uri=uri)
    same_runs(here, there)
    assert here.settings == there.settings and here.metrics == there.metrics
    assert here.varying == there.varying == ("init.weight_scale", "seed")
    assert here.varying_settings == ("init.weight_scale",)
    pd.testing.assert_frame_equal(
        ordered(here.curves), ordered(there.curves), check_dtype=False, check_categorical=False
    )
    for key in ("sweep_id", "overrides", "experiment", "runs", "floors", "created"):
        assert here.meta[key] == there.meta[key]
    assert there.meta["floors"] == {"floor/unigram": 2.8}
    assert there.meta["data"]["name"] == "census"
    assert there.meta["environment"]["torch"] == "2.13.0"
    assert compare(here, by="weight_scale").rows == compare(there, by="weight_scale").rows


def test_settings_keep_their_python_values(store):
    _, uri, _ = store
    runs = read_sweep(uri=uri).runs
    assert runs["model.hidden"].tolist() == [(200,)] * 4
    assert runs["init.seed"].tolist() == [None] * 4
    assert runs["model.batch_norm"].tolist() == [False] * 4
    assert runs["data.split"].tolist()[0] == (0.8, 0.1, 0.1)


def test_newest_prefix_experiment_parent_and_all(store):
    ledger, uri, (first, second) = store
    assert read_sweep(uri=uri).meta["sweep_id"] == second.sweep_id
    assert read_sweep(ledger=ledger).meta["sweep_id"] == second.sweep_id
    assert read_sweep(first.sweep_id[:6], uri=uri).meta["sweep_id"] == first.sweep_id
    assert read_sweep("other", uri=uri).meta["sweep_id"] == second.sweep_id
    parent = read_sweep(first.sweep_id, uri=uri).meta["mlflow_run_id"]
    assert read_sweep(parent, uri=uri).meta["sweep_id"] == first.sweep_id
    for table in (read_sweep("all", uri=uri), read_sweep("all", ledger=ledger)):
        assert {one["sweep_id"] for one in table.meta["sweeps"]} == {
            first.sweep_id,
            second.sweep_id,
        }


def test_several_sweeps_are_one_table_each_run_once(store):
    _, uri, (first, second) = store
    table = read_sweep([first.sweep_id, second.sweep_id], uri=uri)
    assert len(table.runs) == 6  # 4 + 4, of which scale 1 stands in both
    assert sorted(set(table.runs["init.weight_scale"])) == [0.1, 1.0, 3.0]
    assert len(table.curves) == 6 * 4 * 5  # runs, series, steps
    assert table.runs["sweep_id"].tolist() == [first.sweep_id] * 4 + [second.sweep_id] * 2


def test_a_sweep_cut_off_before_its_table_is_read_from_its_children(store, monkeypatch):
    """Without runs.parquet on the parent: params, tags and final metrics of the children."""
    _, uri, (first, _) = store
    whole = read_sweep(first.sweep_id, uri=uri)
    reader = MlflowReader(uri)
    parent = next(p for p in reader.parents() if p.data.tags["harness.sweep_id"] == first.sweep_id)
    real = reader.artifact
    monkeypatch.setattr(
        reader, "artifact", lambda run, name: None if run is parent else real(run, name)
    )
    pieces = mlflow_table(reader, parent)
    for key in whole.settings:
        assert pieces.runs[key].tolist() == whole.runs[key].tolist(), key
    for name in ("nll/val", "gap/nll", "best/nll_val"):
        np.testing.assert_array_equal(pieces.runs[name], whole.runs[name])
    assert len(ordered(pieces.curves)) == len(ordered(whole.curves))
    assert pieces.meta["environment"]["torch"] == "2.13.0"


def test_the_store_is_only_read(store, tmp_path):
    """Every row of every table is the same after reading."""
    _, uri, _ = store

    def rows():
        with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
            return list(connection.iterdump())

    before = rows()
    assert len(read_sweep(uri=uri).curves)
    assert rows() == before


def test_unknown_sweeps_are_refused_with_what_there_is(store, tmp_path):
    ledger, uri, (first, _) = store
    with pytest.raises(ConfigError, match=f"known: .*{first.sweep_id}"):
        read_sweep("nope", ledger=ledger, uri=uri)
    with pytest.raises(ConfigError, match="Did you mean 'other'"):
        read_sweep("othr", uri=uri)
    with pytest.raises(ConfigError, match="no MLflow store at"):
        read_sweep(uri=f"sqlite:///{tmp_path / 'absent.db'}")
    assert not (tmp_path / "absent.db").exists()
    with pytest.raises(ConfigError, match="harness sweep"):
        read_sweep(ledger=Ledger(tmp_path / "runs"), uri=f"sqlite:///{tmp_path / 'absent.db'}")


def test_failed_runs_have_settings_and_no_numbers(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    runs = records()
    sweep = keep(ledger, runs[:3])
    whole = new_sweep({r.run_id: r.config for r in runs})
    ledger.write_sweep(whole)
    ledger.write_failure(runs[3].run_id, "boom")
    table = read_sweep(whole.sweep_id, ledger=ledger)
    last = table.runs.iloc[3]
    assert last["status"] == "FAILED" and last["error"] == "boom" and last["config_id"] is None
    assert last["init.weight_scale"] == 1.0 and np.isnan(last["nll/val"])
    assert len(table.curves["run_id"].unique()) == 3
    assert sweep.sweep_id != whole.sweep_id


def test_records_in_memory_make_the_same_table(tmp_path):
    ledger, runs = Ledger(tmp_path / "runs"), records()
    keep(ledger, runs)
    a, b = table_of(runs), read_sweep(ledger=ledger)
    shared = [*a.settings, *a.metrics, "run_id", "config_id", "verdict"]
    pd.testing.assert_frame_equal(a.runs[shared], b.runs[shared])
    assert a.varying == b.varying and a.metrics == b.metrics


def test_sweeps_over_different_settings_join(tmp_path):
    a, b = table_of(records((0.1,))), table_of([made_record(0, verdict="diverged")])
    table = join([a, b])
    assert table.runs["verdict"].tolist() == ["fit", "fit", "diverged"]


def test_columns_are_known_by_short_names():
    table = table_of(records())
    assert known_column(table, "loss") == "loss.name"
    assert known_column(table, "weight_scale") == "init.weight_scale"
    assert known_column(table, "nll/val") == "nll/val"
    with pytest.raises(ConfigError, match=r"Did you mean .*data\.name"):
        known_column(table, "name")


@pytest.mark.parametrize(
    ("text", "value"),
    [("null", None), ("0.1", 0.1), ("1e-05", 1e-5), ("true", True), ("[64,32]", [64, 32]),
     ("tanh", "tanh"), ("7", 7)],
)  # fmt: skip
def test_parameters_are_read_back_as_values(text, value):
    assert setting(text) == value


@pytest.mark.parametrize("mlflow", [False, True])
def test_the_kind_of_machine_of_each_run_is_kept_wherever_it_is_read(tmp_path, mlflow):
    ledger, uri = Ledger(tmp_path / "runs"), f"sqlite:///{tmp_path / 'mlflow.db'}"
    runs = records((1.0,), seeds=3)
    kinds = [{"cpu": "A", "machine": "x86_64"}] * 2 + [{"cpu": "B", "machine": "x86_64"}]
    runs = [
        dataclasses.replace(record, provenance={**record.provenance, **kind})
        for record, kind in zip(runs, kinds, strict=True)
    ]
    sweep = keep(ledger, runs, uri=uri)
    found = read_sweep(sweep.sweep_id, **({"uri": uri} if mlflow else {"ledger": ledger}))
    want = {record.run_id: f"torch 2.13.0, machine x86_64, cpu {kind['cpu']}, device cpu"
            for record, kind in zip(runs, kinds, strict=True)}  # fmt: skip
    assert dict(zip(found.runs["run_id"], found.runs["machine"], strict=True)) == want
    sentence = "Trained on machines of 2 kinds (2 runs on cpu A; 1 run on cpu B)"
    assert any(sentence in one for one in compare(found).remarks)
    assert sentence in build(found)
