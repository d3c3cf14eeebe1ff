"""The same command again: what is finished stays, what is missing is trained, nothing stands twice.

The command runs in this process, its workers in their own; where something must die it is a process
of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness.cli import main as cli
from harness.engine.kernel import unavailable
from harness.records.ledger import Ledger
from harness.records.record import RunRecord, weights_bytes
from tests.support.driven import (
    TINY,
    harness,
    in_mlflow,
    kill_group,
    numbers,
    start,
    wait_for,
    workers_of,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # MLflow's own, in this process
]
GRID = ["sweep", *TINY, "train.steps=60", "loss=cross_entropy,mse", "--quiet"]
LONG = ["sweep", *TINY, "train.steps=16000", "train.eval_every=500", "seed=0,1,2,3", "--quiet",
        "engine.workers=2", "ledger.checkpoint_seconds=0.2", "tracking=off",
        "engine.kernel=torch"]  # fmt: skip  # slow enough to be interrupted
NATIVE = [*LONG[:-1], "engine.kernel=native", "train.steps=1600000", "train.eval_every=50000"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def stamps():
    """run_id -> when it was trained."""
    ledger = Ledger("runs")
    return {run: plain["provenance"]["started"] for run, plain in ledger.plains(ledger.run_ids())}


def with_weights():
    """Runs whose weights are kept."""
    ledger = Ledger("runs")
    return {run for run, record in ledger.read_many(ledger.run_ids()).items() if record.weights}


def test_a_longer_axis_trains_only_what_is_new(here, capsys):
    """As a sibling, and joined to the same parent; one child a run and a parent in MLflow."""
    assert cli.run([*GRID, "seed=0,1"]) == 0
    first, before = Ledger("runs").read_sweep(), stamps()
    assert cli.run([*GRID, "seed=0,1"]) == 0
    assert "4 of 4 runs are finished already" in capsys.readouterr().err
    assert stamps() == before and len(Ledger("runs").sweeps()) == 1

    assert cli.run([*GRID, "seed=0,1,2"]) == 0
    assert "4 of 6 runs are finished already" in capsys.readouterr().err
    assert len(stamps()) == 6 and before.items() <= stamps().items()
    sibling = Ledger("runs").read_sweep()
    assert sibling.sweep_id != first.sweep_id

    before = stamps()
    assert cli.run([*GRID, "seed=3", "--into", first.sweep_id[:6]]) == 0
    assert len(stamps()) == 8 and before.items() <= stamps().items()
    joined = Ledger("runs").read_sweep(first.sweep_id)
    assert len(joined.run_ids) == 6
    assert len(set(joined.names.values())) == 6 and joined.varying == ("loss.name", "seed")
    assert cli.run([*GRID, "seed=0,3", "--into", first.sweep_id]) == 0  # once more changes nothing
    assert Ledger("runs").read_sweep(first.sweep_id).run_ids == joined.run_ids

    parents, children, points = in_mlflow("mlflow.db")
    assert parents == ["FINISHED"] * 2
    assert children == {
        (sweep.sweep_id, run_id): ["FINISHED"]
        for sweep in (sibling, joined)
        for run_id in sweep.run_ids
    }
    for run_id, found in points.items():  # a point once under each parent
        twice = run_id in sibling.run_ids and run_id in joined.run_ids
        assert set(found.values()) == {1 + twice}


def test_again_trains_once_more_and_replaces(here):
    assert cli.run([*GRID, "seed=0", "tracking=off"]) == 0
    before, want = stamps(), numbers("runs")
    assert cli.run([*GRID, "seed=0", "tracking=off", "--again"]) == 0
    after = stamps()
    assert after.keys() == before.keys() and all(after[r] > before[r] for r in after)
    assert numbers("runs") == want


def test_weights_of_the_best_alone(here):
    assert cli.run([*GRID, "seed=0,1", "tracking=off", "ledger.weights=best"]) == 0
    ledger = Ledger("runs")
    rows = ledger.table(ledger.read_sweep().sweep_id)
    best = min(rows, key=lambda row: row["nll/val"])["run_id"]
    assert with_weights() == {best}
    other = next(row["run_id"] for row in rows if row["run_id"] != best)
    assert cli.run(["reproduce", other]) == 0  # compared by the checksum that stays
    before = stamps()
    assert cli.run([*GRID, "seed=0,1", "tracking=off", "ledger.weights=best"]) == 0
    assert stamps() == before


def test_removed_from_both_and_nothing_of_another_sweep(here, capsys):
    assert cli.run([*GRID, "seed=0,1"]) == 0
    assert cli.run([*GRID, "seed=1,2"]) == 0
    second, first = Ledger("runs").sweeps()
    before = stamps()
    assert cli.run(["rm", first.sweep_id[:6], "--dry-run"]) == 0
    assert "2 finished ones to remove" in capsys.readouterr().out
    assert stamps() == before
    assert cli.run(["rm", first.sweep_id, "--yes"]) == 0
    assert set(stamps()) == set(second.run_ids)
    parents, children, _ = in_mlflow("mlflow.db")
    assert parents == ["FINISHED"] and {sweep for sweep, _ in children} == {second.sweep_id}
    assert cli.run(["sync"]) == 0  # what was removed does not come back
    assert in_mlflow("mlflow.db")[0] == ["FINISHED"]
    assert cli.run(["rm", first.sweep_id, "--yes"]) == 2
    assert cli.run([*GRID, "seed=0,1"]) == 0  # and can be made anew
    assert len(in_mlflow("mlflow.db")[1]) == 8


def test_sync_writes_a_fresh_store_once(here):
    assert cli.run([*GRID, "seed=0,1"]) == 0
    assert cli.run([*GRID, "seed=5", "tracking=off"]) == 0  # never told to MLflow
    was = in_mlflow("mlflow.db")
    Path("mlflow.db").rename("old.db")
    for path in Path().glob("mlflow.db-*"):
        path.unlink()
    for written in (6, 0):  # in a process of its own: MLflow keeps the old file open in this one
        code, out, err = harness("sync", cwd=here)
        assert (code, out) == (0, f"{written} runs written to MLflow.\n"), err
        parents, children, points = in_mlflow("mlflow.db")
        assert parents == ["FINISHED"] * 2 and len(children) == 6
        assert {run: points[run] for run in was[2]} == was[2]


def test_a_dry_run_says_what_it_costs_and_writes_nothing(here, capsys):
    assert cli.run([*GRID, "seed=range(0,50)", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"time +about", out) and re.search(r"disk +about \d+ MB", out)
    assert re.search(r"MLflow points +about [\d,]+", out)
    assert list(here.iterdir()) == []
    assert cli.run([*GRID, "seed=0", "tracking=off"]) == 0
    capsys.readouterr()
    assert cli.run([*GRID, "seed=0", "tracking=off", "--dry-run"]) == 0
    assert re.search(r"fused programs +0", capsys.readouterr().out)
    assert cli.run([*GRID, "seed=0", "tracking=off", "--again", "--dry-run"]) == 0
    assert re.search(r"fused programs +[12], up to", capsys.readouterr().out)


def test_no_weights_are_kept_where_that_is_asked(here, capsys):
    words = [*GRID, "tracking=off", "seed=0", "ledger.weights=none"]
    assert cli.run(words) == 0
    ledger = Ledger("runs")
    assert len(ledger.run_ids()) == 2 and with_weights() == set()
    for run_id in ledger.run_ids():  # their checksums are enough to compare with
        assert cli.run(["reproduce", run_id]) == 0
    assert cli.run(words) == 0
    assert "2 of 2 runs are finished already" in capsys.readouterr().err


def test_only_the_best_weights_are_kept_where_that_is_asked(here, capsys):
    """Another sweep's runs keep theirs, though both sweeps made them."""
    more = [*GRID, "tracking=off", "seed=0,1,2", "ledger.weights=best"]
    assert cli.run([*GRID, "tracking=off", "seed=0"]) == 0
    first = Ledger("runs").read_sweep()
    capsys.readouterr()
    assert cli.run([*more, "--dry-run"]) == 0
    assert "once only the best weights are kept" in capsys.readouterr().out
    assert cli.run(more) == 0
    rows = Ledger("runs").table(Ledger("runs").read_sweep().sweep_id)
    best = min(rows, key=lambda row: row["nll/val"])["run_id"]
    assert len(rows) == 6 and with_weights() == {best, *first.run_ids}

    capsys.readouterr()
    assert cli.run(["list", first.sweep_id[:6], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    want = {row["run_id"]: row["best/nll_val"] for row in rows if row["run_id"] in first.run_ids}
    assert {one["run_id"]: one["best/nll_val"] for one in told} == want
    assert cli.run(["list", first.sweep_id[:6]]) == 0
    assert set(first.run_ids) <= set(capsys.readouterr().out.split())


def interrupted(folder, number=signal.SIGKILL, *, words=LONG, group=True):
    """A long sweep that dies once every run has a checkpoint on its way; where these stand."""
    process = start(*words, cwd=folder)
    ledger = Ledger(folder / "runs")

    def reached():
        return {
            path.stem: ledger.load_checkpoint(path.stem)["step"]
            for path in (folder / "runs/checkpoints").glob("*.ckpt")
        }

    wait_for(lambda: len(list((folder / "runs/checkpoints").glob("*.ckpt"))) == 4, process)
    wait_for(lambda: all(reached().values()), process)
    assert not ledger.run_ids()
    if group:
        kill_group(process)
    else:
        os.kill(process.pid, number)
        process.wait(20)
    return reached()


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The long sweep, undisturbed: run_id -> digest of its numbers."""
    folder = tmp_path_factory.mktemp("calm")
    code, _, err = harness(*LONG, cwd=folder)
    assert code == 0, err
    return numbers(folder / "runs")


def test_a_chunk_killed_in_its_middle_goes_on_bitwise(tmp_path, calm):
    steps = interrupted(tmp_path)
    assert len(steps) == 4 and all(0 < step < 16000 for step in steps.values())
    again = time.time()
    code, _, err = harness(*LONG, cwd=tmp_path)
    assert code == 0, err
    assert numbers(tmp_path / "runs") == calm
    ledger = Ledger(tmp_path / "runs")
    for run_id in ledger.run_ids():  # it went on: these runs began before the second command
        assert ledger.read(run_id).provenance["started"] < again
    assert not list((tmp_path / "runs/checkpoints").iterdir())


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "kernels are here")
def test_a_native_chunk_killed_in_its_middle_goes_on_bitwise(tmp_path):
    steps = interrupted(tmp_path / "killed", words=NATIVE)
    assert len(steps) == 4 and all(0 < step < 1600000 for step in steps.values())
    (tmp_path / "calm").mkdir()
    for folder in ("killed", "calm"):
        code, _, err = harness(*NATIVE, cwd=tmp_path / folder)
        assert code == 0, err
    assert numbers(tmp_path / "killed/runs") == numbers(tmp_path / "calm/runs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_clean_and_resumable(tmp_path, calm, number):
    words = [w for w in LONG if w != "tracking=off"]
    process = start(*words, "train.steps=160000", cwd=tmp_path / "x")  # time enough to be stopped
    wait_for((tmp_path / "x/mlflow.db").exists, process)
    wait_for(lambda: in_mlflow(tmp_path / "x/mlflow.db")[0] == ["RUNNING"], process)
    os.kill(process.pid, number)
    assert process.wait(30) == 128 + number
    assert in_mlflow(tmp_path / "x/mlflow.db")[0] == ["KILLED"]

    process = start(*words, cwd=tmp_path)
    folder = tmp_path / "runs/checkpoints"
    wait_for(lambda: len(list(folder.glob("*.ckpt"))) == 4, process)
    os.kill(process.pid, number)
    assert process.wait(30) == 128 + number
    err = (tmp_path / "err").read_text()
    assert "stopped; finished runs are kept" in err and "Traceback" not in err
    assert len(list(folder.glob("*.ckpt"))) == 4
    code, _, err = harness(*words, cwd=tmp_path)
    assert code == 0, err
    assert numbers(tmp_path / "runs") == calm
    parents, children, _ = in_mlflow(tmp_path / "mlflow.db")
    assert parents == ["FINISHED"] and list(children.values()) == [["FINISHED"]] * 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(tmp_path, number):
    """With workers that do not answer any more."""
    process = start(*LONG, "train.steps=1000000", cwd=tmp_path)
    folder = tmp_path / "runs/checkpoints"
    wait_for(lambda: len(list(folder.glob("*.ckpt"))) == 4, process)
    pids = workers_of(process)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def ended():  # two that arrive before Python looks are one
        if process.poll() is None:
            os.kill(process.pid, number)
        return process.poll() is not None

    wait_for(ended, timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in (tmp_path / "err").read_text()
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids))
    ledger = Ledger(tmp_path / "runs")
    assert all(ledger.load_checkpoint(path.stem) for path in folder.glob("*.ckpt"))


def test_an_interrupt_while_starting_leaves_nothing_running(tmp_path):
    """At any instant after Python itself has started."""
    for wait in (0.3, 0.8, 1.5, 2.5):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = start(*LONG, cwd=tmp_path / f"{wait}{number}")
            time.sleep(wait)
            os.kill(process.pid, number)
            assert process.wait(30) in (128 + number, -number)
            assert not workers_of(process)


def test_a_second_launch_is_refused_while_the_first_one_trains(tmp_path):
    process = start(*LONG, "train.steps=1000000", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "runs/checkpoints").is_dir(), process)
    (tmp_path / "b").mkdir()
    words = [*LONG, "train.steps=1000000", f"ledger.dir={tmp_path}/runs"]
    code, _, err = harness(*words, cwd=tmp_path / "b")
    assert code == 1 and f"is in use by process {process.pid}" in err and "Traceback" not in err
    sweep = Ledger(tmp_path / "runs").read_sweep()
    more = [w for w in words if not w.startswith("seed")] + ["seed=9", "--into", sweep.sweep_id]
    code, _, err = harness(*more, cwd=tmp_path / "b")
    assert code == 1 and "is in use" in err
    assert Ledger(tmp_path / "runs").read_sweep() == sweep  # not touched by the one refused
    code, _, err = harness("rm", sweep.sweep_id, "--yes", "--ledger", f"{tmp_path}/runs",
                           cwd=tmp_path / "b")  # fmt: skip
    assert code == 1 and "is in use" in err
    os.kill(process.pid, signal.SIGTERM)
    process.wait(30)


def test_what_a_dead_owner_left_running_is_settled(tmp_path):
    words = [w for w in LONG if w != "tracking=off"]
    process = start(*words, "train.steps=160000", cwd=tmp_path)
    wait_for((tmp_path / "mlflow.db").exists, process)
    wait_for(lambda: in_mlflow(tmp_path / "mlflow.db")[0] == ["RUNNING"], process)
    kill_group(process)
    assert in_mlflow(tmp_path / "mlflow.db")[0] == ["RUNNING"]
    code, _, err = harness("sync", cwd=tmp_path)
    assert code == 0, err
    assert in_mlflow(tmp_path / "mlflow.db")[0] == ["KILLED"]


def test_a_damaged_record_is_named_and_trained_again(here, capsys):
    assert cli.run([*GRID, "seed=0,1", "tracking=off"]) == 0
    want, before = numbers("runs"), stamps()
    victim = sorted(want)[2]
    weights = weights_bytes(Ledger("runs").read(victim).weights)
    (path,) = (p for p in Path("runs/records").iterdir() if weights in p.read_bytes())
    content = path.read_bytes().replace(weights, weights[:-1] + bytes([weights[-1] ^ 1]))
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"is damaged: run {victim} \(weights: wrong checksum"):
        assert cli.run([*GRID, "seed=0,1", "tracking=off"]) == 0
    assert "3 of 4 runs are finished already" in capsys.readouterr().err
    assert numbers("runs") == want
    assert [r for r, at in stamps().items() if at != before[r]] == [victim]


def test_a_damaged_checkpoint_is_named_and_the_run_begins_anew(tmp_path, calm):
    steps = interrupted(tmp_path)
    first, second, *_ = sorted(steps)
    for name, damage in ((first, lambda b: b[: len(b) // 3]), (second, lambda b: b[:-1] + b"\0")):
        path = tmp_path / "runs/checkpoints" / f"{name}.ckpt"
        path.write_bytes(damage(path.read_bytes() + b"\1"))
    code, _, err = harness(*LONG, cwd=tmp_path)
    assert code == 0
    assert f"{first}.ckpt is damaged" in err and f"{second}.ckpt is damaged" in err
    assert numbers(tmp_path / "runs") == calm
    assert len(list((tmp_path / "runs/corrupt").iterdir())) == 2


def test_a_checkpoint_of_another_machine_is_not_continued(tmp_path, calm):
    """A run is never half of one platform and half of another."""
    steps = interrupted(tmp_path)
    ledger = Ledger(tmp_path / "runs")
    name = min(steps)
    state = ledger.load_checkpoint(name)
    state["meta"]["same_bits"] = dict(state["meta"]["same_bits"], torch="2.11.0")
    for tensor in state["tensors"].values():
        tensor.mul_(0)  # would show in every number
    ledger.save_checkpoint(name, state)
    code, _, err = harness(*LONG, cwd=tmp_path)
    assert code == 0 and f"run {name} begins anew" in err
    assert numbers(tmp_path / "runs") == calm
    record = ledger.read(name)
    assert isinstance(record, RunRecord)
