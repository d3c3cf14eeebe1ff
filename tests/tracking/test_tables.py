"""Rows that are written in one transaction are those that MLflow's own client writes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

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
from tests.support.stores import fresh_store, search, tables_of

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")
NOW = 1_700_000_100_000_000_000
TIMES = ("creation_time", "last_update_time")  # of the experiment, which the client makes


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
    for rows in (client["experiments"], direct["experiments"]):
        for row in rows:
            row.update(dict.fromkeys(TIMES, 0))
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


def test_a_schema_that_was_not_tested_is_left_to_the_client(ledger, monkeypatch):
    fresh_store("mlflow.db")
    uri = store_address(None)
    assert type(open_store(uri, "harness", None, "")) is TableStore
    with sqlite3.connect("mlflow.db") as connection:
        before = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    connection.close()
    assert before in tables.TESTED
    monkeypatch.setattr(tables, "TESTED", ("another",))
    assert type(open_store(uri, "harness", None, "")) is Store


def sweep_of(ledger, count):
    records = [made_record(seed) for seed in range(count)]
    ledger.write_many(records)
    return records, ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))


def test_a_transaction_that_fails_leaves_nothing_and_is_written_later(ledger, monkeypatch):
    fresh_store("mlflow.db")
    records, sweep = sweep_of(ledger, 3)
    writer = SweepWriter(Tracking(), store_address(None), sweep, ledger)
    writer.open()
    before = tables_of(store_address(None))
    whole = tables.Rows.metrics

    def dies(self, batch):
        whole(self, batch)
        raise OSError("the disk is full")

    monkeypatch.setattr(tables.Rows, "metrics", dies)
    assert set(writer.write(records)) == {record.run_id for record in records}
    assert tables_of(store_address(None)) == before
    assert not list(Path("mlartifacts").rglob("config.yaml"))
    monkeypatch.setattr(tables.Rows, "metrics", whole)
    assert writer.write(records) == {}
    assert len(search(store_address(None), "tags.`harness.kind` = 'run'")) == 3


def test_a_commit_whose_answer_was_lost_is_not_written_twice(ledger, monkeypatch):
    fresh_store("mlflow.db")
    records, sweep = sweep_of(ledger, 3)
    writer = SweepWriter(Tracking(), store_address(None), sweep, ledger)
    writer.open()
    whole = TableStore._transact

    def deaf(self, what):
        whole(self, what)
        raise ConnectionError("the connection was lost")

    monkeypatch.setattr(TableStore, "_transact", deaf)
    assert len(writer.write(records)) == 3
    monkeypatch.setattr(TableStore, "_transact", whole)
    writer.write(records)
    found = search(store_address(None), "tags.`harness.kind` = 'run'")
    assert sorted(run.data.tags["harness.run_id"] for run in found) == sorted(sweep.run_ids)


def test_a_locked_database_is_waited_for(ledger):
    fresh_store("mlflow.db")
    records, sweep = sweep_of(ledger, 2)
    writer = SweepWriter(Tracking(), store_address(None), sweep, ledger)
    writer.open()
    held = sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)
    held.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: held.execute("COMMIT"))
    release.start()
    assert writer.write(records) == {}
    release.join()
    held.close()


def test_points_of_a_wider_run_are_its_latest_by_step_then_time_then_value(ledger):
    """As MLflow's client has it, whatever the order in which points arrive."""
    from harness.tracking.entries import Entry

    fresh_store("one.db")
    fresh_store("two.db")
    points = [("x", 1.0, 10, 3), ("x", 5.0, 10, 1), ("x", 0.5, 11, 3), ("x", 0.7, 11, 3)]
    found = {}
    for uri, kind in (("sqlite:///one.db", Store), ("sqlite:///two.db", TableStore)):
        store = open_store(store_address(uri), "harness", None, "")
        put = kind.put
        [place] = put(store, [(None, Entry(name="a", start_ms=5, points=points[:2]))])
        put(store, [(place, Entry(name="a", start_ms=5, points=points, status="FINISHED"))])
        rows = tables_of(store_address(uri))
        found[kind] = rows["metrics"], rows["latest_metrics"], rows["runs"][0]["end_time"]
    assert [row["value"] for row in found[Store][1]] == [0.7]
    assert len(found[Store][0]) == 4

    def plain(rows):
        return [{k: v for k, v in row.items() if k != "run_uuid"} for row in rows]

    assert plain(found[Store][0]) == plain(found[TableStore][0])
    assert plain(found[Store][1]) == plain(found[TableStore][1])
    assert found[Store][2] == found[TableStore][2] == 5


@pytest.mark.parametrize("revisions", [(), tables.TESTED], ids=["client", "tables"])
def test_a_param_that_an_older_version_spelled_otherwise_keeps_its_value(
    ledger, monkeypatch, revisions
):
    """That version wrote optim.embed_lr=null; MLflow refuses to change a param."""
    fresh_store("one.db")
    monkeypatch.setattr(tables, "TESTED", revisions)
    uri = store_address("sqlite:///one.db")
    records = [made_record(seed) for seed in range(2)]
    for record in records:
        ledger.write(record)
    sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    SweepWriter(Tracking(), uri, sweep, ledger).open()
    [parent] = search(uri, "tags.`harness.kind` = 'sweep'")
    assert parent.data.params["optim.embed_lr"] == "0.1"
    with sqlite3.connect("one.db") as store:
        store.execute("UPDATE params SET value = 'null' WHERE key = 'optim.embed_lr'")
    writer = SweepWriter(Tracking(), uri, sweep, ledger)
    writer.open()
    writer.write(records)
    writer.close("FINISHED")
    [parent] = search(uri, "tags.`harness.kind` = 'sweep'")
    assert parent.data.params["optim.embed_lr"] == "null"
    assert parent.info.status == "FINISHED"
