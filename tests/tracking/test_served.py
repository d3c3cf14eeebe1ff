"""A team's MLflow server: few requests a run, over several connections, and logins."""

from __future__ import annotations

import collections

import pytest

from harness.config.settings import Tracking
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.tracking.reader import MlflowReader
from harness.tracking.tracker import forget_sweep, open_tracking, sync
from tests.support.driven import mlflow_server
from tests.support.made import made_record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, f"sqlite:///{folder}/base.db") as (address, _):
        yield address


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Ledger("runs")


@pytest.fixture
def requests_made(monkeypatch):
    """Every request that this process sends, by its last words."""
    import requests

    made = collections.Counter()
    real = requests.Session.send

    def counted(self, request, **more):
        made[request.method, request.url.partition("?")[0].rpartition("/mlflow")[2]] += 1
        return real(self, request, **more)

    monkeypatch.setattr(requests.Session, "send", counted)
    return made


def tracked(ledger, server, first, count):
    records = [made_record(first + i) for i in range(count)]
    ledger.write_many(records)
    sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    tracker = open_tracking(Tracking(uri=server, weights="none"), ledger)
    tracker.open_sweep(sweep)
    for record in records:
        tracker.finished(record.run_id)
    report = tracker.close()
    assert (report.written, report.behind) == (count, 0)
    return records, sweep


def test_a_run_costs_three_requests(ledger, server, requests_made):
    tracked(ledger, server, 300, 1)  # makes the experiment
    requests_made.clear()
    tracked(ledger, server, 0, 4)
    few = sum(requests_made.values())
    requests_made.clear()
    tracked(ledger, server, 100, 20)
    assert sum(requests_made.values()) - few == 3 * 16, requests_made


def test_what_the_server_has_is_read_synced_and_removed(ledger, server):
    records, sweep = tracked(ledger, server, 200, 3)
    reader = MlflowReader(server)
    [parent] = [
        run for run in reader.parents() if run.data.tags["harness.sweep_id"] == sweep.sweep_id
    ]
    runs = reader.children(parent)
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    for record, run in zip(records, runs, strict=True):
        assert run.data.tags["harness.run_id"] == record.run_id
        series, whole = reader.curves(run)
        assert whole and list(series) == list(record.series)
    assert parent.inputs.dataset_inputs  # of the children it would be a request each
    settings = Tracking(uri=server, weights="none")
    assert sync(ledger, settings).written == 0
    assert forget_sweep(sweep, settings) == 4
    assert reader.children(parent) == []
