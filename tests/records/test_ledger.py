"""The ledger keeps what it is given, whole or not at all, and never hands out a changed byte."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.config.groups import Loss, Reg
from harness.config.run import RunConfig
from harness.errors import ConfigError
from harness.records import durable
from harness.records.bundle import Bundle
from harness.records.durable import LedgerBusyError, LedgerError, LedgerWarning, digest
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest, new_single, new_sweep, run_names
from harness.records.record import weights_bytes
from tests.support.driven import ROOT
from tests.support.made import SHA, files, made_config, made_record, same_record, state
from tests.support.old_records import write_old


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def sweep_of(*records, **more):
    return new_sweep({r.run_id: r.config for r in records}, **more)


# keeping


def test_a_record_comes_back_to_the_last_bit(ledger):
    record = made_record(5)
    assert ledger.write(record)
    assert same_record(ledger.read(record.run_id), record)
    assert ledger.read_plain(record.run_id) == record.to_plain()
    assert ledger.has(record.run_id)
    assert not ledger.read(record.run_id, weights=False).weights


def test_opening_and_asking_writes_nothing(ledger):
    assert ledger.read("0" * 16) is None
    assert ledger.finished(["0" * 16]) == set()
    assert ledger.failures(["0" * 16]) == {}
    assert ledger.sweeps() == ledger.table() == ledger.run_ids() == []
    assert ledger.load_checkpoint("0" * 16) is None
    ledger.forget_unfinished(["0" * 16])
    assert not ledger.root.exists()


def test_an_intact_record_stands_unless_replaced(ledger):
    record = made_record(1)
    other = dataclasses.replace(record, warnings=("another",))
    assert ledger.write(record)
    assert not ledger.write(other)
    assert same_record(ledger.read(record.run_id), record)
    assert ledger.write(other, replace=True)
    assert same_record(ledger.read(record.run_id), other)
    assert list(ledger.scratch.iterdir()) == []


def test_a_success_ends_failure_and_checkpoint(ledger):
    record = made_record(1)
    ledger.save_checkpoint(record.run_id, state())
    ledger.write_failure(record.run_id, "out of memory", "Traceback ...")
    assert ledger.failures([record.run_id])[record.run_id]["traceback"] == "Traceback ..."
    ledger.write(record)
    assert ledger.failures([record.run_id]) == {}
    assert ledger.load_checkpoint(record.run_id) is None


def test_checkpoints_come_back_exactly(ledger):
    ledger.save_checkpoint("r1", state())
    ledger.save_checkpoint("r1", state() | {"step": 130})
    back, want = ledger.load_checkpoint("r1"), state()
    assert back["step"] == 130
    assert list(back["tensors"]) == ["w", "n"]
    assert all(torch.equal(back["tensors"][n], t) for n, t in want["tensors"].items())
    assert back["series"]["nll/val"][0] == [0, 10]
    assert np.array(back["series"]["nll/val"][1]).tobytes() == np.array([3.25, np.nan]).tobytes()
    assert back["series"]["empty"] == ([], [])
    assert back["meta"] == want["meta"]


def test_runs_that_end_together_are_one_file(ledger):
    records = [made_record(seed) for seed in range(5)]
    ids = [record.run_id for record in records]
    assert ledger.write_many(records) == set(ids)
    assert len(files(ledger)) == 1
    assert ledger.write_many([*records[3:], made_record(9)]) == {made_record(9).run_id}
    assert len(files(ledger)) == 2
    again = Ledger(ledger.root)
    found = again.read_many([*reversed(ids), "0" * 16])
    assert list(found) == ids[::-1]
    assert all(same_record(found[r.run_id], r) for r in records)
    assert dict(again.plains(ids)) == {r.run_id: r.to_plain() for r in records}
    assert {run_id: sorted(series) for run_id, series in again.curves(ids)} == {
        r.run_id: sorted(r.series) for r in records
    }


def test_replacing_some_runs_of_a_file_keeps_the_others(ledger):
    records = [made_record(seed) for seed in range(4)]
    ledger.write_many(records)
    other = Ledger(ledger.root)  # of another process, which has looked already
    assert len(other.run_ids()) == 4
    newer = [dataclasses.replace(r, warnings=("another",)) for r in records[1:3]]
    for _ in range(2):  # a newer one is replaced in its turn
        assert ledger.write_many(newer, replace=True) == {r.run_id for r in newer}
    want = [records[0], *newer, records[3]]
    for one in (ledger, other, Ledger(ledger.root)):
        found = one.read_many([r.run_id for r in want])
        assert all(same_record(found[r.run_id], r) for r in want)
    assert len(files(ledger)) == 2


def test_dropped_weights_leave_their_checksum(ledger):
    records = [made_record(seed) for seed in range(3)]
    ledger.write_many(records)
    sweep = ledger.write_sweep(sweep_of(*records))
    before, size = ledger.weights_sha256([records[2].run_id]), files(ledger)[0].stat().st_size
    assert before == {records[2].run_id: digest(weights_bytes(records[2].weights))}
    assert ledger.keep_best_weights(sweep.sweep_id) == 2
    (after,) = files(ledger)
    assert after.stat().st_size < 0.4 * size  # two of three sets of weights are gone
    assert ledger.read(records[0].run_id).weights  # lowest nll/val: seed 0
    bare = ledger.read(records[2].run_id)
    assert not bare.weights
    assert bare.to_plain() == records[2].to_plain()
    assert ledger.weights_sha256([records[2].run_id]) == before
    assert len(ledger.finished([r.run_id for r in records], verify=True)) == 3
    ledger.drop_weights([records[2].run_id])  # safe to repeat
    assert files(ledger) == [after]


def test_weights_may_be_left_out_from_the_start(ledger):
    record = made_record(1)
    ledger.write_many([record], weights=False)
    assert not ledger.read(record.run_id).weights
    assert ledger.weights_sha256([record.run_id]) == {
        record.run_id: digest(weights_bytes(record.weights))
    }


# faults


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_nothing_half_done(ledger):
    """RLIMIT_FSIZE makes every write past 8 kB fail, as a full disk would."""
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.made import made_record
from harness.records.ledger import Ledger
from harness.errors import HarnessError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
ledger = Ledger({str(ledger.root)!r})
for write in (lambda: ledger.write(made_record(1)),
              lambda: ledger.save_checkpoint("r1", {{"step": 1, "series": {{}}, "meta": {{}},
                                                     "tensors": dict(made_record(1).weights)}})):
    try:
        write()
    except HarnessError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("the file size limit is too low; raise it") == 2
    assert [p for p in ledger.root.rglob("*") if p.is_file()] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write in a read-only folder")
def test_a_read_only_folder_is_told(ledger):
    ledger.root.mkdir()
    ledger.root.chmod(0o500)
    with pytest.raises(
        ConfigError, match=r"ledger\.dir is .*permission denied.*ledger\.dir=FOLDER"
    ):
        ledger.prepare()


def test_a_file_in_the_folders_place_is_told(ledger):
    ledger.root.write_text("not a folder")
    with pytest.raises(ConfigError, match=r"ledger\.dir is .*ledger\.dir=FOLDER"):
        ledger.prepare()
    with pytest.raises(LedgerError, match="cannot write"):
        ledger.write(made_record(1))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 300, "a\0b", "/etc/passwd"])
def test_an_id_that_is_a_path_is_refused(ledger, name):
    for ask in (ledger.has, ledger.read, ledger.load_checkpoint, ledger.lock_sweep):
        with pytest.raises(ConfigError, match="16 hex digits"):
            ask(name)
    for ask in (ledger.read_sweep, ledger.find_run):
        with pytest.raises(ConfigError, match="there is no"):
            ask(name)


KILLED = """
import dataclasses, os, sys
from pathlib import Path
from tests.support.made import made_record
from harness.records.ledger import Ledger

root, how = Path(sys.argv[1]), sys.argv[2]
records = [made_record(seed) for seed in range(3)]
newer = dataclasses.replace(records[1], warnings=("newer",))
one = {records[1].run_id}
change = {
    "new": lambda ledger: ledger.write_many(records),
    "replace": lambda ledger: ledger.write(newer, replace=True),
    "strip": lambda ledger: ledger.drop_weights(one),
    "drop": lambda ledger: ledger.archive.drop(one),
}[how]

def counted(name, die_at):
    real = getattr(os, name)
    def step(*args, **more):
        global calls
        calls += 1
        if calls == die_at:
            os.kill(os.getpid(), 9)
        return real(*args, **more)
    setattr(os, name, step)

at, status = 0, 9
while status == 9:  # killed at the 1st, 2nd, ... call, until a writer comes through
    at += 1
    ledger = Ledger(root / str(at))
    if how != "new":
        ledger.write_many(records)
    child = os.fork()
    if child == 0:
        calls = 0
        for name in ("fsync", "mkdir", "rename", "unlink", "rmdir", "open", "link"):
            counted(name, at)  # pathlib and shutil go through these
        change(ledger)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["new", "replace", "strip", "drop"])
def test_killing_the_writer_at_any_step_leaves_whole_records(tmp_path, how):
    """All of a file or none of it is new; a change to one run reaches it whole, and no other."""
    records = [made_record(seed) for seed in range(3)]
    ids = [record.run_id for record in records]
    command = [sys.executable, "-c", KILLED, str(tmp_path), how]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    outcomes = set()
    for root in tmp_path.iterdir():
        ledger = Ledger(root)
        ledger.prepare()  # what the next start does
        found = ledger.read_many(ids)
        assert len(found) in ({0, 3} if how == "new" else {2, 3} if how == "drop" else {3})
        for record in (records[0], records[2]):
            assert how == "new" or same_record(found[record.run_id], record)
        middle = found.get(ids[1])
        outcomes.add((middle is not None, bool(middle and middle.weights),
                      "newer" in getattr(middle, "warnings", ())))  # fmt: skip
        assert list(ledger.scratch.iterdir()) == []
        assert len({run for name in files(ledger) for run in Bundle(name).runs}) == sum(
            len(Bundle(name).runs) for name in files(ledger)
        )  # no run is left in two files
        ledger.write_many(records, replace=True)
        assert all(
            same_record(r, s) for r, s in zip(ledger.read_many(ids).values(), records, strict=True)
        )
    assert len(list(tmp_path.iterdir())) > 8  # files, folders and renames: so many places to die
    before = (True, True, False)
    after = {"new": before, "replace": (True, True, True), "strip": (True, False, False),
             "drop": (False, False, False)}[how]  # fmt: skip
    assert outcomes == {after, (False, False, False) if how == "new" else before}


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(ledger):
    record = made_record(1)
    ledger.prepare()
    host = durable.temporary(ledger.scratch, "new", "x").name.split(".")[0]
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    dead = ledger.scratch / f"{host}.{gone}.00000000.0.new.{record.run_id}"
    dead.mkdir()
    (dead / "half").write_text("written")
    living = ledger.scratch / f"{host}.{os.getppid()}.00000000.0.file.x"
    living.write_text("being written")
    elsewhere = ledger.scratch / f"otherhost.{gone}.00000000.0.file.x"
    elsewhere.write_text("on another machine")
    swapped = ledger.scratch / f"{host}.{gone}.00000000.1.old.{record.run_id}"
    write_old(ledger.root, record).rename(swapped)  # killed between the two renames of a swap
    ledger.clean()
    assert sorted(ledger.scratch.iterdir()) == sorted([living, elsewhere])
    assert same_record(ledger.read(record.run_id), record)
    os.utime(elsewhere, (1, 1))
    ledger.clean()
    assert list(ledger.scratch.iterdir()) == [living]


@pytest.mark.slow
def test_writers_of_one_run_at_once_leave_one_whole_record(ledger):
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.made import made_record
from harness.records.ledger import Ledger
for _ in range(10):
    for seed in range(3):
        Ledger({str(ledger.root)!r}).write(made_record(seed), replace={{}})
"""
    crowd = [
        subprocess.Popen([sys.executable, "-c", code.replace("{}", how)], stderr=subprocess.PIPE)
        for how in ("False", "False", "True")
    ]
    told = [one.communicate()[1].decode() for one in crowd]
    assert [one.returncode for one in crowd] == [0, 0, 0], told
    for seed in range(3):
        assert same_record(ledger.read(made_record(seed).run_id), made_record(seed))
    assert not (ledger.root / "corrupt").exists()


@pytest.mark.slow
def test_a_reader_misses_no_run_while_others_change_its_file(ledger):
    """Replaced, stripped of weights, dropped beside it: a run is in one file or in the next."""
    records = [made_record(seed) for seed in range(6)]
    ledger.write_many(records)
    kept = [record.run_id for record in records[:4]]
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.made import made_record
from harness.records.ledger import Ledger
ledger, records = Ledger({str(ledger.root)!r}), [made_record(seed) for seed in range(6)]
for round in range(12):
    ledger.write_many(records[1:3], replace=True)
    ledger.drop_weights([records[3].run_id])
    ledger.archive.drop({{records[4 + round % 2].run_id}})
    ledger.write_many(records)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    reads = 0
    while other.poll() is None or not reads:
        reader = Ledger(ledger.root) if reads % 2 else ledger
        assert list(reader.read_many(kept)) == kept
        assert reader.finished(kept) == set(kept)
        reads += 1
    assert other.returncode == 0, other.stderr.read()
    other.stderr.close()
    assert reads > 3 and not (ledger.root / "corrupt").exists()


# sweeps


def test_a_sweep_comes_back_and_the_first_manifest_stands(ledger):
    records = [made_record(s, scale=g) for s in range(2) for g in (0.1, 1.0)]
    first = ledger.write_sweep(
        sweep_of(*records, overrides=["seed=0,1"], tracking={"experiment": "e"})
    )
    assert first.varying == ("init.weight_scale", "seed")
    assert first.names[records[0].run_id] == "weight_scale=0.1 seed=0"
    again = ledger.write_sweep(sweep_of(*records, overrides=["seed=0,1"]))
    assert again == first == ledger.read_sweep() == ledger.read_sweep(first.sweep_id[:5])
    assert first.configs[records[3].run_id] == records[3].config.nested()


def test_sweeps_are_listed_newest_first_even_if_the_clock_goes_back(ledger):
    a = ledger.write_sweep(sweep_of(made_record(1)))
    late = dataclasses.replace(sweep_of(made_record(2)), created_ms=5)
    b = ledger.write_sweep(late)
    c = ledger.write_sweep(sweep_of(made_record(1), made_record(2)))
    assert [s.sweep_id for s in ledger.sweeps()] == [c.sweep_id, b.sweep_id, a.sweep_id]
    assert ledger.read_sweep("newest").sweep_id == c.sweep_id
    with pytest.raises(ConfigError, match="no sweep 'zz'; known: "):
        ledger.read_sweep("zz")


def test_a_damaged_manifest_is_set_aside(ledger):
    sweep = ledger.write_sweep(sweep_of(made_record(1)))
    path = ledger.file("sweeps", sweep.sweep_id, ".json")
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":3'))
    with pytest.warns(LedgerWarning, match=sweep.sweep_id):
        assert ledger.sweeps() == []
    assert ledger.write_sweep(sweep_of(made_record(1))).sweep_id == sweep.sweep_id


def test_removing_a_sweep_keeps_what_others_share(ledger):
    a, b, c, d = (made_record(seed) for seed in range(4))
    for record in (a, b, c, d):
        ledger.write(record)
    ledger.write_sweep(new_single(d.run_id, d.config))
    first = ledger.write_sweep(sweep_of(a, b, d))
    ledger.write_sweep(sweep_of(b, c))
    plan = ledger.remove_sweep(first.sweep_id, dry_run=True)
    assert ledger.has(a.run_id)
    done = ledger.remove_sweep(first.sweep_id)
    assert plan == done
    assert done.removed == (a.run_id,)
    assert set(done.kept) == {b.run_id, d.run_id}
    assert done.bytes > 40_000  # 11,897 float32 weights alone are 47,588 bytes
    assert ledger.finished(r.run_id for r in (a, b, c, d)) == {b.run_id, c.run_id, d.run_id}
    assert len(ledger.sweeps()) == 1
    assert [s.sweep_id for s in ledger.sweeps("single")] == [d.run_id]


def test_joining_adds_runs_behind_and_keeps_the_id():
    a, b, c = (made_record(seed) for seed in range(3))
    old, new = sweep_of(a), sweep_of(b, c, a)
    joined = old.joined(new)
    assert joined.run_ids == (a.run_id, b.run_id, c.run_id)
    assert (joined.sweep_id, joined.created_ms) == (old.sweep_id, old.created_ms)
    assert joined.varying == ("seed",)
    assert joined.names[c.run_id] == "seed=2"
    assert SweepManifest.from_plain(joined.to_plain()) == joined


def test_a_table_has_finished_and_failed_runs_in_order(ledger):
    a, b, c = (made_record(seed) for seed in range(3))
    ledger.write(c)
    ledger.write(a)
    ledger.write_failure(b.run_id, "out of memory", "Traceback")
    sweep = ledger.write_sweep(sweep_of(a, b, c))
    rows = ledger.table(sweep.sweep_id)
    assert [row["name"] for row in rows] == ["seed=0", "seed=1", "seed=2"]
    assert [row["status"] for row in rows] == ["FINISHED", "FAILED", "FINISHED"]
    assert rows[1]["error"] == "out of memory"
    assert rows[1]["seed"] == 1
    assert "nll/val" not in rows[1]
    assert rows[2]["nll/val"] == 2.02
    assert len(ledger.table()) == 2


def test_names_say_only_what_varies():
    runs = {r.run_id: r.config for r in (made_record(0), made_record(0, scale=0.3))}
    assert list(run_names(runs).values()) == ["weight_scale=1", "weight_scale=0.3"]
    pair = {
        name: RunConfig(loss=Loss(name=name), reg=Reg(name=reg, strength=strength))
        for name, reg, strength in (("mse", "none", 0.0), ("brier", "l2", 0.5))
    }
    assert list(run_names(pair).values()) == ["mse reg=none strength=0", "brier l2 strength=0.5"]
    one = made_config()
    alone = run_names({one.run_id(SHA): one})[one.run_id(SHA)]
    assert alone == "cross_entropy weight_scale=1 steps=40 eval_every=10 seed=0"


def test_one_process_holds_a_sweep_at_a_time(ledger):
    code = f"""
import sys
from harness.records.ledger import Ledger
with Ledger({str(ledger.root)!r}).lock_sweep("abc"):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    busy = pytest.raises(LedgerBusyError, match=f"sweep abc is in use by process {other.pid} on ")
    with busy, ledger.lock_sweep("abc"):
        pass
    with ledger.lock_sweep("another"):
        pass
    other.kill()  # a dead holder holds nothing
    other.communicate()
    with ledger.lock_sweep("abc"):
        pass
