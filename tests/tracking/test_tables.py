"""Rows that are written in one transaction are those that MLflow's own client writes."""

from __future__ import annotations

import pytest

from harness.config.settings import Tracking
from harness.records.ledger import Ledger
from harness.records.manifests import new_single, new_sweep
from harness.tracking import store as mlstore
from harness.tracking import tables
from harness.tracking.addresses import store_address
from harness.tracking.opening import open_store
from harness.tracking.store import Store
from harness.tracking.tables import TableStore
from harness.tracking.writer import SweepWriter
from tests.support.made import made_record
from tests.support.stores import fresh_store, tables_of

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")
NOW = 1_700_000_100_000_000_000


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("harness.tracking.writer.time.time_ns", lambda: NOW)
    return Ledger("runs")


def life_of_a_sweep(uri, ledger, sweep, records):
    """Everything that can happen to a run: shown, killed, failed, mended, finished at once."""
    late, failing, mended, *rest = records
    writer = SweepWriter(Tracking(), uri, sweep, ledger)
    writer.open()
    curve = late.series["nll/val"][1]
    writer.show({late.run_id: [(0, {"nll/val": float(curve[0]), "loss/val": 5.0})]})
    writer.show({late.run_id: [(10, {"nll/val": float(curve[1])})]})
    assert writer.write([], {mended.run_id: "out of memory"}) == {}
    assert writer.write([late, *rest, mended], {failing.run_id: "it broke"}) == {}
    writer.close("FAILED")
    single = records[0]
    alone = new_single(single.run_id, single.config)
    alone = ledger.write_sweep(alone)
    writer = SweepWriter(Tracking(), uri, alone, ledger)
    writer.open()
    writer.write([single])
    writer.close("FINISHED")


def both_ways(ledger, monkeypatch, first, second):
    """The same lives through the client and through the tables; what each store then holds."""
    records = [made_record(seed) for seed in range(6)]
    for record in records:
        ledger.write(record)
    sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    kinds = []
    for uri, revisions in ((first, ()), (second, tables.TESTED)):
        monkeypatch.setattr(tables, "TESTED", revisions)
        found = open_store(uri, "harness", "file:///kept/elsewhere", "")
        kinds.append(type(found))
        found.client.set_experiment_tag("0", "seen", "by both")
        monkeypatch.setattr(mlstore.Store, "takes_files", False)
        monkeypatch.setattr(mlstore.Store, "put_files", lambda *given: None)
        monkeypatch.setattr("harness.tracking.writer.log_model", lambda *given: "m-1")
        life_of_a_sweep(uri, ledger, sweep, records)
    assert kinds == [Store, TableStore]
    return tables_of(first), tables_of(second)


def test_every_row_of_every_table_is_the_clients(ledger, monkeypatch):
    fresh_store("one.db")
    fresh_store("two.db")
    client, direct = both_ways(
        ledger, monkeypatch, store_address("sqlite:///one.db"), store_address("sqlite:///two.db")
    )
    times = ("creation_time", "last_update_time")  # of the experiment, which the client makes
    for rows in (client["experiments"], direct["experiments"]):
        for row in rows:
            row.update(dict.fromkeys(times, 0))
    assert list(client) == list(direct)
    assert {name: len(rows) for name, rows in client.items() if rows} == {
        name: len(rows) for name, rows in direct.items() if rows
    }
    for name, rows in client.items():
        for mine, theirs in zip(rows, direct[name], strict=True):
            assert mine == theirs, name
    assert len(client["runs"]) == 1 + 6 + 1
    assert {row["status"] for row in client["runs"]} == {"FINISHED", "FAILED"}
    assert all(client[name] for name in ("metrics", "latest_metrics", "params", "tags"))
    assert all(client[name] for name in ("datasets", "inputs", "input_tags"))
