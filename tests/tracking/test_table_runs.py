"""tracking.runs=table: the parent alone, from which runs are compared, reported and reproduced."""

from __future__ import annotations

import json

import pytest

from harness.analysis.claims import find_claim
from harness.analysis.lookup import find_record
from harness.analysis.places import places
from harness.analysis.sources import read_sweep
from harness.config.settings import Tracking
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.tracking.addresses import store_address
from harness.tracking.tracker import open_tracking, sync
from tests.support.made import made_record
from tests.support.stores import fresh_store, search

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")
TABLE = Tracking(runs="table")


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fresh_store("mlflow.db")
    return Ledger("runs")


def written(ledger, count=3, settings=TABLE):
    records = [made_record(seed) for seed in range(count)]
    ledger.write_many(records)
    fresh = new_sweep({r.run_id: r.config for r in records}, tracking=settings.kept({}))
    sweep = ledger.write_sweep(fresh)
    tracker = open_tracking(settings, ledger)
    tracker.open_sweep(sweep)
    for record in records:
        tracker.finished(record.run_id)
    return records, sweep, tracker.close()


def test_the_parent_is_all_that_mlflow_has(ledger):
    _, _, report = written(ledger)
    assert (report.written, report.behind) == (3, 0)
    [parent] = search(store_address(None))
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["harness.written"] == "3"
    [data] = [one.dataset for one in parent.inputs.dataset_inputs]
    assert data.name == "census"


def test_a_sweep_reads_as_one_with_children_does(ledger):
    _, sweep, _ = written(ledger)
    mine = read_sweep(sweep.sweep_id, uri=store_address(None))
    theirs = read_sweep(sweep.sweep_id, ledger=ledger)
    assert mine.metrics == theirs.metrics and mine.settings == theirs.settings
    for key in ("run_id", "config_id", "verdict", "seed", *mine.metrics):
        assert mine.runs[key].tolist() == theirs.runs[key].tolist()
    assert mine.meta["data"]["sha256"] == theirs.meta["data"]["sha256"]
    assert mine.meta["environment"]["torch"] == theirs.meta["environment"]["torch"]
    assert "harness.tags" not in mine.runs
    for name in ("run_id", "name", "step", "value"):
        assert mine.curves[name].tolist() == theirs.curves[name].tolist()


def test_a_row_is_what_a_reproduction_must_meet(ledger):
    records, _, _ = written(ledger)
    elsewhere = places(uri=store_address(None))
    for record in records:
        claim = find_claim(record.run_id[:12], elsewhere)
        assert claim.config.resolved() == record.config.resolved()
        assert claim.run_id == record.run_id
        assert claim.whole and list(claim.series) == list(record.series)
        for name, (steps, values) in record.series.items():
            assert claim.series[name][0].tolist() == steps.tolist()
            assert claim.series[name][1].tobytes() == values.tobytes()
        whole = {k: v for k, v in record.summary.items() if k not in record.series}
        assert claim.summary == whole
        assert claim.weights_sha256 == ledger.weights_sha256([record.run_id])[record.run_id]
        assert bool(claim.weights) == (record is records[0])  # the best run's are kept
        assert claim.provenance["data_sha256"] == record.provenance["data_sha256"]
    found = find_record(records[0].run_id, elsewhere)
    assert found.weights["output.weight"].equal(records[0].weights["output.weight"])
    assert find_record(records[1].run_id, elsewhere).weights == {}


def test_sync_obeys_what_the_sweep_was_started_with(ledger):
    _, sweep, _ = written(ledger)
    assert sync(ledger).written == 0
    fresh_store("other.db")
    assert sync(ledger, Tracking(uri="sqlite:///other.db")).written == 3
    [parent] = search(store_address("sqlite:///other.db"))
    assert parent.data.tags["harness.kind"] == "sweep"
    ledger.write_many([made_record(7)])
    wider = ledger.read_sweep(sweep.sweep_id).joined(
        new_sweep({r.run_id: r.config for r in [made_record(7)]})
    )
    ledger.write_sweep(wider, replace=True)
    assert sync(ledger).written == 4
    assert len(read_sweep(sweep.sweep_id, uri=store_address(None)).runs) == 4


def test_weights_of_all_runs_have_no_place_there():
    with pytest.raises(ConfigError, match=r"tracking\.weights is 'all' with tracking\.runs=table"):
        Tracking(runs="table", weights="all")


def test_a_run_is_named_by_its_run_id_alone(ledger):
    written(ledger)
    with pytest.raises(ConfigError, match="MLflow"):
        find_record("f" * 16, places(uri=store_address(None)))
    [parent] = search(store_address(None))
    assert json.loads(parent.data.tags["harness.varying"]) == ["seed"]
