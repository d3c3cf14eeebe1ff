"""No damaged byte is handed out: it is found, named, set aside, and costs the run it hit alone."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import warnings
from pathlib import Path

import pytest

from harness.records import bundle
from harness.records.bundle import entry_of
from harness.records.durable import LedgerError, LedgerWarning, digest
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.records.record import weights_bytes
from tests.support.made import files, made_record, same_record, state
from tests.support.old_records import write_old

OLD_FILES = ("record.json", "curves.parquet", "weights.safetensors")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def damage(path: Path, how: str, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if how == "flip":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del content[rng.randrange(len(content)) :]
    elif how == "append":
        content += b"\0"
    path.write_bytes(bytes(content))


def told_of(read):
    """(what a call gives, the ledger's warnings meanwhile)."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = read()
    return found, [str(one.message) for one in told]


def silent_in_bundles(root: Path, count: int) -> int:
    """Mutate a file of four runs `count` times; how often that was not told, or told wrong.

    A record handed out is the one written, a run that is missing is named, a flipped bit costs one
    run at most, and what remains is found by the next reader without a word.
    """
    rng, silent = random.Random(7), 0
    records = [made_record(seed) for seed in range(4)]
    ids = [record.run_id for record in records]
    for i in range(count):
        how = ("flip", "cut", "append")[i % 3]
        home = root / str(i)
        Ledger(home).write_many(records)
        (path,) = files(Ledger(home))
        damage(path, how, rng)
        found, told = told_of(lambda: Ledger(home).read_many(ids))  # noqa: B023
        lost = [run_id for run_id in ids if run_id not in found]
        right = all(same_record(found[r.run_id], r) for r in records if r.run_id in found)
        named = len(told) == 1 and path.name in told[0] and "corrupt" in told[0]
        if lost and "both copies" not in told[0]:
            named &= all(run_id in told[0] for run_id in lost)
        few = len(lost) <= {"flip": 1, "cut": 4, "append": 0}[how]
        again, quiet = told_of(lambda: Ledger(home).read_many(ids))  # noqa: B023
        silent += not (right and named and few and again.keys() == found.keys() and not quiet)
        assert len(list((home / "corrupt").iterdir())) == 1
        shutil.rmtree(home)
    return silent


def silent_elsewhere(ledger: Ledger, count: int) -> int:
    """Mutate records of the first version and checkpoints; how many were handed out even so."""
    rng, record, silent = random.Random(8), made_record(1), 0
    for i in range(count):
        how = ("flip", "cut", "append")[i % 3]
        if i % 4 == 3:
            ledger.save_checkpoint(record.run_id, state())
            damage(ledger.file("checkpoints", record.run_id, ".ckpt"), how, rng)
            read, name = ledger.load_checkpoint, ".ckpt"
        else:
            home = write_old(ledger.root, record)
            damage(home / OLD_FILES[i % 4], how, rng)
            read, name = Ledger(ledger.root).read, OLD_FILES[i % 4]
        found, told = told_of(lambda: read(record.run_id))  # noqa: B023
        named = len(told) == 1 and name in told[0] and "corrupt" in told[0]
        silent += found is not None or not named
    return silent


def test_no_mutation_is_loaded_silently(ledger, tmp_path):
    assert silent_in_bundles(tmp_path, 48) == 0
    assert silent_elsewhere(ledger, 24) == 0
    assert len(list((ledger.root / "corrupt").iterdir())) == 24


@pytest.mark.slow
def test_no_mutation_of_a_thousand_is_loaded_silently(ledger, tmp_path):
    assert silent_in_bundles(tmp_path, 700) == 0
    assert silent_elsewhere(ledger, 300) == 0


def test_both_copies_of_an_index_damaged_cost_the_file_and_say_so(ledger):
    ledger.write_many([made_record(1), made_record(2)])
    (path,) = files(ledger)
    content = bytearray(path.read_bytes())
    content[120] ^= 1
    content[-120] ^= 1
    path.write_bytes(bytes(content))
    with pytest.warns(LedgerWarning, match="both copies of its index"):
        assert Ledger(ledger.root).run_ids() == []


def test_a_damaged_run_is_replaced_by_the_next_write(ledger):
    records = [made_record(1), made_record(2)]
    ledger.write_many(records)
    (path,) = files(ledger)
    content = bytearray(path.read_bytes())
    at = bytes(content).index(weights_bytes(records[1].weights))
    content[at + 1000] ^= 1
    path.write_bytes(bytes(content))
    fresh = Ledger(ledger.root)
    assert same_record(fresh.read(records[0].run_id), records[0])  # another run's bytes are unread
    with pytest.warns(LedgerWarning, match=rf"run {records[1].run_id} \(weights: wrong checksum"):
        assert fresh.write_many(records) == {records[1].run_id}
    found = fresh.read_many(r.run_id for r in records)
    assert all(same_record(found[r.run_id], r) for r in records)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write in a read-only folder")
def test_damage_in_a_folder_that_cannot_be_written_is_told_and_read_around(ledger):
    records = [made_record(1), made_record(2)]
    ledger.write_many(records)
    (path,) = files(ledger)
    damage(path, "append", random.Random(0))
    for folder in (ledger.root, path.parent):
        folder.chmod(0o500)
    with pytest.warns(LedgerWarning, match="could not be set aside"):
        found = Ledger(ledger.root).read_many([r.run_id for r in records])
    assert len(found) == 2


def test_a_checkpoint_under_another_runs_name_is_not_taken_for_it(ledger):
    ledger.save_checkpoint("a", state())
    ledger.file("checkpoints", "a", ".ckpt").rename(ledger.file("checkpoints", "b", ".ckpt"))
    with pytest.warns(LedgerWarning, match="it belongs to run a"):
        assert ledger.load_checkpoint("b") is None


def test_settings_of_another_version_are_named_not_set_aside(ledger, monkeypatch):
    record = made_record(1)
    plain = record.to_plain()
    plain["config"]["optim"]["learning_rate"] = 0.1
    ledger.archive.add([dataclasses.replace(entry_of(record), plain=plain)])
    with pytest.raises(LedgerError, match=r"optim\.learning_rate"):
        ledger.read(record.run_id)
    assert ledger.has(record.run_id)
    monkeypatch.setattr(bundle, "FORMAT", 3)
    ledger.write(made_record(2))
    monkeypatch.undo()
    with pytest.raises(LedgerError, match="newer version"):
        Ledger(ledger.root).run_ids()


# records of the first version


def test_records_of_the_first_version_are_read(ledger):
    records = [made_record(seed) for seed in range(3)]
    for record in records[:2]:
        write_old(ledger.root, record)
    write_old(ledger.root, records[2], dropped=["weights.safetensors"])
    ids = [record.run_id for record in records]
    assert ledger.finished(ids, verify=True) == set(ids)
    found = ledger.read_many(ids)
    assert all(same_record(found[r.run_id], r) for r in records[:2])
    assert not found[ids[2]].weights
    assert ledger.weights_sha256(ids)[ids[2]] == digest(weights_bytes(records[2].weights))
    assert not ledger.write(records[0])


def test_records_of_the_first_version_become_new_ones_when_they_change(ledger):
    records = [made_record(seed) for seed in range(3)]
    homes = [write_old(ledger.root, record) for record in records]
    ids = [record.run_id for record in records]
    ledger.drop_weights([ids[0]])
    newer = dataclasses.replace(records[1], warnings=("another",))
    ledger.write(newer, replace=True)
    assert [home.exists() for home in homes] == [False, False, True]
    assert ledger.read(ids[0]).to_plain() == records[0].to_plain()
    assert not ledger.read(ids[0]).weights
    assert same_record(ledger.read(ids[1]), newer)
    sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    assert set(ledger.remove_sweep(sweep.sweep_id).removed) == set(ids)
    assert list((ledger.root / "records").iterdir()) == []


@pytest.mark.parametrize("name", OLD_FILES)
def test_a_missing_file_of_the_first_version_is_damage(ledger, name):
    record = made_record(1)
    (write_old(ledger.root, record) / name).unlink()
    assert ledger.has(record.run_id)
    with pytest.warns(LedgerWarning, match=f"{name} is missing"):
        assert ledger.finished([record.run_id], verify=True) == set()
    assert not ledger.has(record.run_id)
    assert ledger.write(record)
    assert same_record(ledger.read(record.run_id), record)


def test_a_record_under_another_runs_name_is_not_taken_for_it(ledger):
    a, b = made_record(1), made_record(2)
    write_old(ledger.root, a).rename(ledger.file("records", b.run_id))
    with pytest.warns(LedgerWarning, match=f"it holds run {a.run_id}"):
        assert ledger.read(b.run_id) is None
