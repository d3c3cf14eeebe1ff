"""MLflow is written once, completely, from any interruption, and never holds training up."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from harness.components.metrics import having
from harness.config.settings import Tracking
from harness.errors import ConfigError, HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import new_single, new_sweep
from harness.records.record import Evaluation
from harness.tracking import projection
from harness.tracking import tracker as tracking
from harness.tracking.addresses import redacted, store_address
from harness.tracking.artifacts import put_files
from harness.tracking.creation import create_sqlite
from harness.tracking.owners import TAG, owner
from harness.tracking.pages import parent_tags, runs_parquet
from harness.tracking.projection import record_points, step_plan
from harness.tracking.store import Store
from harness.tracking.tracker import (
    NullTracker,
    Tracker,
    TrackingWarning,
    forget_sweep,
    open_tracking,
    sync,
)  # fmt: skip
from harness.tracking.writer import SweepWriter
from tests.support.driven import ROOT
from tests.support.made import SHA, made_record, same_record
from tests.support.stores import fresh_store, search

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Ledger("runs")


@pytest.fixture
def store(ledger):
    """The address of a store beside the ledger."""
    fresh_store("mlflow.db")
    return store_address(None)


def filled(ledger, count=3, tracking=None):
    """Finished records of a sweep in the ledger, and its manifest."""
    records = [made_record(seed) for seed in range(count)]
    ledger.write_many(records)
    fresh = new_sweep({r.run_id: r.config for r in records}, tracking=tracking)
    return records, ledger.write_sweep(fresh)


def track(ledger, records, sweep, settings=None, **close):
    tracker = open_tracking(settings, ledger)
    tracker.open_sweep(sweep)
    for record in records:
        tracker.finished(record)
    return tracker.close(**close)


def children(uri):
    return search(uri, "tags.`harness.kind` = 'run'")


def kept_weights():
    """Weight files among the runs' artifacts (a model to serve has its own copy)."""
    return list(Path("mlartifacts/harness").glob("*/artifacts/weights.safetensors"))


def dump(path="mlflow.db"):
    """Every row of the store that a run is made of; MLflow's own random ids left out."""
    with sqlite3.connect(path) as connection:
        ids = dict(
            connection.execute("SELECT run_uuid, value FROM tags WHERE key='harness.run_id'")
        )
        out = {}
        for table in ("metrics", "params", "tags", "latest_metrics"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            names = [c[1] for c in connection.execute(f"PRAGMA table_info({table})")]
            at = names.index("run_uuid")
            out[table] = sorted(
                str([v for i, v in enumerate(row) if i != at] + [ids[row[at]]])
                for row in rows
                if row[at] in ids and "mlflow.parentRunId" not in row
            )
    connection.close()
    return out


# what is written


def test_names_are_those_of_the_contract(ledger, store):
    records, sweep = filled(ledger)
    report = track(ledger, records, sweep)
    assert (report.written, report.behind) == (3, 0)
    [parent] = search(store, "tags.`harness.kind` = 'sweep'")
    assert parent.info.run_id == report.parent_id
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["harness.sweep_id"] == sweep.sweep_id
    assert "**3 runs**" in parent.data.tags["mlflow.note.content"]
    assert parent.data.metrics == {"floor/unigram": 2.8}
    runs = children(store)
    assert [run.info.run_name for run in runs] == ["seed=0", "seed=1", "seed=2"]
    for record, run in zip(records, runs, strict=True):
        assert run.info.status == "FINISHED"
        flat = record.config.flat()
        assert set(run.data.params) == set(flat)
        assert run.data.params["seed"] == str(flat["seed"])
        assert run.data.params["model.hidden"] == "[200]"
        assert run.data.params["optim.embed_lr"] == "0.1"  # that of optim.lr
        assert run.data.params["init.seed"] == "null"  # it follows seed
        want = {
            "mlflow.parentRunId": parent.info.run_id, "harness.run_id": record.run_id,
            "harness.config_id": record.config_id, "harness.sweep_id": sweep.sweep_id,
            "harness.verdict": "fit", "harness.data_sha256": SHA, "harness.version": "0.1.0",
        }  # fmt: skip
        assert want.items() <= run.data.tags.items()
        final = {k: v for k, v in record.summary.items() if not k.startswith("floor/")}
        assert final.items() <= run.data.metrics.items()
        assert "act/saturated/hidden.0" not in run.data.metrics  # whole in curves.parquet alone
        [data] = run.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("census", SHA[:36])


def test_series_and_artifacts_hold_the_records_numbers(ledger, store):
    import pandas as pd
    import yaml
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    from harness.records.saved import read_config

    records, sweep = filled(ledger)
    report = track(ledger, records, sweep)
    client = MlflowClient(store)
    for record, run in zip(records, children(store), strict=True):
        for name in having(live=True):
            steps, values = record.series[name]
            history = client.get_metric_history(run.info.run_id, name)
            assert [(p.step, p.value) for p in history] == list(
                zip(steps.tolist(), values.tolist(), strict=True)
            )
            assert [p.timestamp for p in history] == [sweep.created_ms + s for s in steps]
        folder = Path(download_artifacts(run_id=run.info.run_id, tracking_uri=store))
        files = {path.name for path in folder.iterdir()}
        best = {"weights.safetensors"} if record is records[0] else set()
        assert files == {"config.yaml"} | best
        assert read_config(yaml.safe_load((folder / "config.yaml").read_text())) == record.config
        seed = [f"seed={record.config.seed}"] * (record.config.seed > 0)
        given = run.data.tags["harness.overrides"].split()
        assert given == ["train.steps=40", "train.eval_every=10", *seed]
    folder = Path(download_artifacts(run_id=report.parent_id, tracking_uri=store))
    assert {path.name for path in folder.iterdir()} == {"runs.parquet", "curves.parquet"}
    table = pd.read_parquet(folder / "runs.parquet")
    assert table["nll/val"].tolist() == [2.0, 2.01, 2.02]
    assert table["mlflow_run_id"].tolist() == [run.info.run_id for run in children(store)]
    assert pd.read_parquet(folder / "curves.parquet").groupby("run_id").size().tolist() == [25] * 3


@pytest.mark.parametrize(("rule", "kept"), [("best", 1), ("all", 2), ("none", 0)])
def test_weights_are_kept_as_the_rule_says(ledger, store, rule, kept):
    records, sweep = filled(ledger, 2)
    track(ledger, records, sweep, Tracking(weights=rule))
    assert len(kept_weights()) == kept


def test_a_run_trained_by_itself_has_no_parent(ledger, store):
    record = made_record(1)
    ledger.write(record)
    report = track(ledger, [record], ledger.write_sweep(new_single(record.run_id, record.config)))
    [run] = search(store)
    assert run.info.run_id == report.parent_id
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.data.metrics["floor/unigram"] == 2.8
    assert len(kept_weights()) == 1
    assert sync(ledger).written == 0


def test_long_series_are_thinned_the_same_way_live_and_final():
    plan = step_plan(10_000, 1)
    assert len(plan) <= 26
    assert {0, 10_000} <= plan
    assert step_plan(40, 10) == {0, 10, 20, 30, 40}
    assert step_plan(7, None) == set(range(8))
    assert step_plan(0, None) == {0}
    steps = np.arange(0, 31, 1)  # ended early, at a step the plan does not have
    record = made_record(series={"nll/val": (steps, steps + 1.0)})
    points = [p[3] for p in record_points(record, 0, floors=False) if p[0] == "nll/val"]
    assert points == [0, 10, 20, 30]


def test_a_table_of_mixed_columns_becomes_parquet(tmp_path):
    import pyarrow.parquet as pq

    rows = [
        {"run_id": "a", "engine.chunk": "auto", "model.hidden": [200], "x": 1, "none": None},
        {"run_id": "b", "engine.chunk": 8, "model.hidden": [], "x": 0.5},
    ]
    (tmp_path / "t.parquet").write_bytes(runs_parquet(rows, ["engine.chunk", "absent"]))
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.to_pydict() == {
        "run_id": ["a", "b"], "engine.chunk": ['"auto"', "8"], "model.hidden": ["[200]", "[]"],
        "x": [1.0, 0.5], "none": [None, None],
    }  # fmt: skip
    notes = {k.decode(): json.loads(v) for k, v in table.schema.metadata.items() if b"harn" in k}
    assert notes["harness.settings"] == ["engine.chunk"]
    assert notes["harness.json"] == ["engine.chunk", "model.hidden"]


# writing again


def test_writing_again_changes_nothing(ledger, store):
    records, sweep = filled(ledger)
    track(ledger, records, sweep)
    before = dump()
    assert sync(ledger).written == 0
    assert track(ledger, records, sweep).written == 0
    writer = SweepWriter(Tracking(), store, sweep, ledger)
    writer.open()
    writer.complete.clear()  # as if it had been killed before the last child was ended
    assert writer.write(records) == {}
    writer.close("FINISHED")
    assert dump() == before
    assert len(children(store)) == 3


def test_a_replay_into_a_fresh_store_writes_the_same(ledger, store):
    records, sweep = filled(ledger)
    single = made_record(9)
    ledger.write(single)
    ledger.write_sweep(new_single(single.run_id, single.config))
    track(ledger, records, sweep)
    sync(ledger)
    first = dump()
    fresh_store("other.db")
    assert sync(ledger, Tracking(uri="sqlite:///other.db")).written == 4
    second = dump("other.db")
    for tags in (first["tags"], second["tags"]):  # who wrote it is all that may differ
        tags[:] = [tag for tag in tags if "harness.owner" not in tag]
    assert second == first


def test_live_points_are_shown_and_then_completed(ledger, store):
    records, sweep = filled(ledger, 1)
    writer = SweepWriter(Tracking(), store, sweep, ledger)
    writer.open()
    series = records[0].series
    live = [
        (step, {n: float(series[n][1][i]) for n in having(live=True)})
        for i, step in enumerate((0, 10))
    ]
    live.append((15, {"nll/val": 1.0}))  # no planned evaluation
    live.append((20, {"nll/val": float("nan")}))
    writer.show({records[0].run_id: live})
    [run] = children(store)
    assert run.info.status == "RUNNING"
    assert run.data.metrics["nll/val"] == series["nll/val"][1][1]
    assert "seed" in run.data.params
    assert writer.write(records) == {}
    shown = dump()
    writer.complete.clear()
    assert writer.write(records) == {}
    assert dump() == shown
    assert len(children(store)) == 1


def test_a_run_of_another_sweep_appears_complete_under_the_new_parent(ledger, store):
    records, sweep = filled(ledger, 2)
    track(ledger, records, sweep)
    wider = ledger.write_sweep(new_sweep({r.run_id: r.config for r in [*records, made_record(2)]}))
    report = track(ledger, [], wider, status="KILLED")  # nobody reported the two
    assert report.written == 2
    mine = search(store, f"tags.`mlflow.parentRunId` = '{report.parent_id}'")
    assert [run.info.status for run in mine] == ["FINISHED"] * 2
    assert [run.data.metrics["nll/val"] for run in mine] == [2.0, 2.01]


def test_a_failed_run_says_why_and_a_later_success_overwrites_it(ledger, store):
    record = made_record(1)
    sweep = ledger.write_sweep(new_sweep({record.run_id: record.config}))
    tracker = open_tracking(None, ledger)
    tracker.open_sweep(sweep)
    tracker.failed(record.run_id, "out of memory")
    tracker.close()
    [run] = children(store)
    assert (run.info.status, run.data.tags["harness.error"]) == ("FAILED", "out of memory")
    ledger.write(record)
    track(ledger, [record], sweep)
    [run] = children(store)
    assert run.info.status == "FINISHED"
    assert "harness.error" not in run.data.tags


def test_what_a_dead_process_left_running_is_settled_and_taken_up_again(ledger, store):
    records, sweep = filled(ledger, 2)
    writer = SweepWriter(Tracking(), store, sweep, ledger)
    writer.open()
    writer.show({records[0].run_id: [(0, {"nll/val": 3.0})]})
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    writer.store.tag([writer.parent], {TAG: f"{owner().partition(':')[0]}:{dead}"})
    assert {run.info.status for run in search(store)} == {"RUNNING"}
    other = made_record(7)
    ledger.write(other)
    track(ledger, [other], ledger.write_sweep(new_single(other.run_id, other.config)))
    theirs = search(store, f"tags.`harness.sweep_id` = '{sweep.sweep_id}'")
    assert [run.info.status for run in theirs] == ["KILLED", "KILLED"]
    track(ledger, records, sweep)
    theirs = search(store, f"tags.`harness.sweep_id` = '{sweep.sweep_id}'")
    assert [run.info.status for run in theirs] == ["FINISHED"] * 3


def test_a_removed_sweep_is_gone_from_mlflow(ledger, store):
    records, sweep = filled(ledger, 2)
    track(ledger, records, sweep)
    assert forget_sweep(sweep) == 3
    assert search(store) == []


def test_without_a_ledger_the_records_themselves_are_shown(ledger, store):
    records = [made_record(seed) for seed in range(2)]
    sweep = new_sweep({r.run_id: r.config for r in records})
    report = track(None, records, sweep)
    assert report.written == 2
    assert len(kept_weights()) == 1
    assert not Path("runs").exists()


# trouble


class Answers(http.server.BaseHTTPRequestHandler):
    """A tracking server that is ill: it answers 500, at once or slowly."""

    pause = 0.0

    def do_GET(self):
        time.sleep(self.pause)
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"broken")

    do_POST = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture(params=["down", "500", "slow"])
def ill_server(request, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    if request.param == "down":
        yield "http://127.0.0.1:9"  # the discard port: nobody listens
        return
    handler = type("Handler", (Answers,), {"pause": 3.0 if request.param == "slow" else 0.0})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_an_ill_server_neither_stops_nor_blocks_and_sync_mends_it(
    ledger, store, ill_server, monkeypatch
):
    monkeypatch.setattr(tracking, "HELD_RECORDS", 8)
    records, sweep = filled(ledger, 30)
    tracker = Tracker(Tracking(uri=ill_server), ledger)
    waited, connect = set(), socket.socket.connect

    def noted(*args):
        waited.add(threading.get_ident())
        return connect(*args)

    monkeypatch.setattr(socket.socket, "connect", noted)
    tracker.open_sweep(sweep)
    for record in records:
        for step in range(3):
            tracker.points(
                Evaluation(run_ids=[record.run_id], step=step, values={"nll/val": [1.0]})
            )
        tracker.finished(record)
    assert threading.get_ident() not in waited  # handing over waits for nobody
    assert len(tracker._records) <= tracking.HELD_RECORDS
    with pytest.warns(TrackingWarning) as told:
        report = tracker.close(timeout=20)
    assert report.behind == 30 and waited
    words = [str(one.message) for one in told]
    assert any("training goes on" in text for text in words)
    assert any("harness sync" in text for text in words)
    assert len(words) < 5
    with pytest.raises(HarnessError, match="cannot be written"):
        sync(ledger, Tracking(uri=ill_server))
    assert sync(ledger, Tracking(uri=store)).written == 30


def test_a_store_that_dies_midway_costs_nothing_that_sync_does_not_write(
    ledger, store, monkeypatch
):
    records, sweep = filled(ledger, 4)
    real, calls = SweepWriter.write, []
    monkeypatch.setattr(tracking, "BATCH", 2)

    def dying(self, *given):
        calls.append(len(calls))
        if len(calls) > 1:
            raise ConnectionError("gone: postgresql://me:secret@db/x")
        return real(self, *given)

    monkeypatch.setattr(SweepWriter, "write", dying)
    with pytest.warns(TrackingWarning) as told:
        report = track(ledger, records, sweep)
    assert (report.written, report.behind) == (2, 2)
    assert not any("secret" in str(one.message) for one in told)
    monkeypatch.setattr(SweepWriter, "write", real)
    assert sync(ledger).written == 2
    assert [run.info.status for run in search(store)] == ["FINISHED"] * 5


def test_points_that_wait_are_bounded():
    tracker = Tracker(Tracking(uri="sqlite:///never-opened.db"))
    for step in range(tracking.LIVE_POINTS + 500):
        tracker.points(Evaluation(run_ids=[f"r{step % 7}"], step=step, values={"nll/val": [1.0]}))
    assert sum(map(len, tracker._points.values())) == tracking.LIVE_POINTS
    tracker.finished(made_record(1))
    assert not Path("never-opened.db").exists()


@pytest.mark.slow
def test_a_database_locked_for_25_seconds_is_waited_for(ledger, store):
    records, sweep = filled(ledger, 3)
    track(ledger, [], sweep)
    held = sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)
    held.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(25, lambda: held.execute("COMMIT"))
    release.start()
    other = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records[:2]}))
    report = track(ledger, records[:2], other)
    release.join()
    held.close()
    assert (report.written, report.behind) == (2, 0)


CROWD = """
import sys
from tests.support.made import made_record
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.tracking.tracker import open_tracking
first, count = int(sys.argv[1]), int(sys.argv[2])
ledger = Ledger("runs")
records = [made_record(first + i) for i in range(count)]
sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
tracker = open_tracking(None, ledger)
tracker.open_sweep(sweep)
for record in records:
    ledger.write(record)
    tracker.finished(record)
report = tracker.close()
sys.exit(0 if (report.written, report.behind) == (count, 0) else 1)
"""


@pytest.mark.slow
def test_eight_sweeps_write_one_fresh_store_at_once(ledger):
    paths = str(ROOT)
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(100 * i), "12"], stderr=subprocess.PIPE,
                         env=os.environ | {"PYTHONPATH": paths})
        for i in range(8)
    ]  # fmt: skip
    told = [one.communicate()[1].decode() for one in crowd]
    assert [one.returncode for one in crowd] == [0] * 8, told
    runs = children(store_address(None))
    assert len(runs) == len({run.data.tags["harness.run_id"] for run in runs}) == 8 * 12
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(search(store_address(None), "tags.`harness.kind` = 'sweep'")) == 8
    assert [p.name for p in Path().iterdir() if ".new" in p.name] == []


@pytest.mark.slow
def test_a_store_half_made_by_a_dead_process_is_no_obstacle(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    (tmp_path / f"mlflow.db.{dead}.new").write_bytes(b"half")
    create_sqlite(tmp_path / "mlflow.db", "")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


# addresses


def test_the_default_store_is_beside_you(ledger, monkeypatch):
    here = Path.cwd()
    assert store_address(None) == f"sqlite:///{here}/mlflow.db"
    assert store_address("sqlite:///a/b.db") == f"sqlite:///{here}/a/b.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert store_address(None) == "http://server:5000"
    assert store_address("sqlite:////x/b.db") == "sqlite:////x/b.db"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/x", "mlflow.db", "sqlite", "ftp://x"])
def test_addresses_without_a_store_are_refused(uri):
    with pytest.raises(ConfigError, match=r"tracking\.uri is .*sqlite:///"):
        store_address(uri)


def test_passwords_are_never_shown():
    text = "cannot reach postgresql://me:pa:ss@db:5432/x nor https://u:p@h; see http://h:80/a@b"
    assert redacted(text) == (
        "cannot reach postgresql://me:***@db:5432/x nor https://u:***@h; see http://h:80/a@b"
    )


def test_secrets_of_the_environment_are_not_written(ledger, store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret-word")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-word")
    records, sweep = filled(ledger, 1)
    track(ledger, records, sweep)
    files = [*Path("mlartifacts").rglob("*"), *Path("runs").rglob("*"), Path("mlflow.db")]
    for path in files:
        assert not path.is_file() or b"s3cret-word" not in path.read_bytes()


def test_tracking_off_writes_nothing(ledger):
    records, sweep = filled(ledger, 1)
    tracker = open_tracking(Tracking(name="off"), ledger)
    assert type(tracker) is NullTracker
    assert track(ledger, records, sweep, Tracking(name="off")).written == 0
    assert not Path("mlflow.db").exists()
    assert same_record(ledger.read(records[0].run_id), records[0])


@pytest.mark.parametrize("bad", [{"experiment": " "}, {"weights": "some"}, {"name": "wandb"}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ConfigError, match=f"tracking.{next(iter(bad))} "):
        Tracking(**bad)


def test_counts_travel_as_tags_not_as_prose(tmp_path):
    """What `harness list` shows of a store is no sentence of its notes."""
    record = made_record(3)
    sweep = new_sweep({record.run_id: record.config, "b" * 16: made_record(4).config})
    tags = parent_tags(sweep)
    assert tags["harness.runs"] == "2" and json.loads(tags["harness.varying"]) == ["seed"]
    dead = made_record(5, provenance={"start": "a dead start: ...", "start_kind": "a dead start"})
    assert projection.run_tags(dead, None)["harness.start_kind"] == "a dead start"


# what people do to a store by hand


def test_runs_whose_parent_was_deleted_come_under_a_new_one_once(ledger, store):
    from mlflow import MlflowClient

    records, sweep = filled(ledger, 2)
    report = track(ledger, records, sweep)
    before = {run.info.run_id for run in children(store)}
    MlflowClient(store).delete_run(report.parent_id)
    assert sync(ledger).written == 0
    [parent] = search(store, "tags.`harness.kind` = 'sweep'")
    assert parent.info.run_id != report.parent_id and parent.info.status == "FINISHED"
    runs = children(store)
    assert {run.info.run_id for run in runs} == before
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert sync(ledger).written == 0 and len(search(store)) == 3
    assert forget_sweep(sweep) == 3
    assert search(store) == []


def test_a_run_that_is_there_twice_is_kept_once(ledger, store):
    """As an earlier version left it where a parent had been deleted."""
    records, sweep = filled(ledger, 2)
    report = track(ledger, records, sweep)
    writer = SweepWriter(Tracking(), store, sweep, ledger)
    writer.open()
    writer.children.clear()
    writer.complete.clear()
    assert writer.write(records) == {}  # doubled
    assert len(children(store)) == 4
    sync(ledger)
    runs = children(store)
    assert sorted(run.data.tags["harness.run_id"] for run in runs) == sorted(sweep.run_ids)
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {report.parent_id}


def test_a_child_deleted_by_hand_is_written_again(ledger, store):
    from mlflow import MlflowClient

    records, sweep = filled(ledger, 2)
    track(ledger, records, sweep)
    MlflowClient(store).delete_run(children(store)[0].info.run_id)
    assert sync(ledger).written == 1
    assert [run.data.metrics["nll/val"] for run in children(store)] == [2.0, 2.01]


# what a user adds

NAMED = Tracking(run_name="wide starts", note="Why **wide**?", tags={"team": "vision", "n": 3})


def test_name_note_and_tags_reach_mlflow(ledger, store):
    records, sweep = filled(ledger, 2, tracking=NAMED.kept({}))
    track(ledger, records, sweep, NAMED)
    [parent] = search(store, "tags.`harness.kind` = 'sweep'")
    assert parent.info.run_name == "wide starts"
    assert parent.data.tags["mlflow.note.content"].startswith("Why **wide**?\n\n**2 runs**")
    for run in [parent, *children(store)]:
        assert (run.data.tags["team"], run.data.tags["n"]) == ("vision", "3")
    assert [run.info.run_name for run in children(store)] == ["seed=0", "seed=1"]


def test_a_name_given_later_takes_the_place_of_the_first(ledger, store):
    records, sweep = filled(ledger, 2)
    track(ledger, records, sweep)
    assert NAMED.kept(sweep.tracking)["run_name"] == "wide starts"
    later = ledger.write_sweep(
        dataclasses.replace(sweep, tracking=NAMED.kept(sweep.tracking)), replace=True
    )
    track(ledger, records, later, NAMED)
    [parent] = search(store, "tags.`harness.kind` = 'sweep'")
    assert parent.info.run_name == parent.data.tags["mlflow.runName"] == "wide starts"
    assert parent.data.tags["team"] == "vision"
    assert parent.data.tags["mlflow.note.content"].startswith("Why **wide**?")
    assert Tracking().kept(later.tracking) == later.tracking  # kept where nothing new is given


def test_a_single_run_carries_its_own_name_and_note(ledger, store):
    record = made_record(1)
    ledger.write(record)
    one = new_single(record.run_id, record.config, tracking=NAMED.kept({}))
    track(ledger, [record], ledger.write_sweep(one), NAMED)
    [run] = search(store)
    assert run.info.run_name == "wide starts" and run.data.tags["team"] == "vision"
    assert run.data.tags["mlflow.note.content"].startswith("Why **wide**?\n\n**fit")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"run_name": " "}, r"tracking\.run_name is ' '; allowed: 1 to 240"),
        ({"note": "x" * 5000}, r"tracking\.note is .*1 to 4000"),
        ({"tags": "team"}, r"tracking\.tags\.team=vision"),
        ({"tags": {"mlflow.user": "me"}}, r"tracking\.tags\.mlflow\.user: keys that begin"),
        ({"tags": {"a=b": "c"}}, r"tracking\.tags has the key 'a=b'"),
        ({"tags": {"a": ["b"]}}, r"tracking\.tags\.a is \['b'\]"),
        ({"runs": "rows"}, r"tracking\.runs is 'rows'; allowed: one of children, table"),
    ],
)
def test_what_mlflow_could_not_keep_is_refused(bad, words):
    with pytest.raises(ConfigError, match=words):
        Tracking(**bad)


def test_artifacts_out_of_reach_cost_no_number(ledger, store, monkeypatch):
    """The parent is closed all the same, and sync brings the files once they can be had."""
    records, sweep = filled(ledger, 2)
    real = Store.put_files

    def no_folder(self, place, files):
        if "runs.parquet" in files:
            raise PermissionError("no such share")
        real(self, place, files)

    monkeypatch.setattr(Store, "put_files", no_folder)
    with pytest.warns(TrackingWarning, match="no such share"):
        track(ledger, records, sweep)
    assert [run.info.status for run in search(store)] == ["FINISHED"] * 3
    assert not list(Path("mlartifacts").rglob("runs.parquet"))
    monkeypatch.setattr(Store, "put_files", real)
    assert sync(ledger).written == 0
    assert len(list(Path("mlartifacts").rglob("runs.parquet"))) == 1


@pytest.mark.parametrize(
    ("uri", "store", "words"),
    [
        ("/not-mounted/files/1/abc/artifacts", "http://server", "mount it here"),
        ("mlflow-artifacts:/1/abc/artifacts", "postgresql://db/x", "write through its http"),
    ],
)
def test_where_artifacts_cannot_be_put_is_said(uri, store, words):
    with pytest.raises(HarnessError, match=words):
        put_files(uri, {"a": b"b"}, store)
