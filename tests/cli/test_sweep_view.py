"""A sweep shown: how far it has come, and seconds that add up."""

import json

import pytest

from harness.cli import main as cli
from harness.cli.launch import Launch, total
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from tests.support.driven import TINY
from tests.support.made import made_record


def test_a_sweep_shows_where_its_time_went(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["sweep", *TINY, "train.steps=50", "tracking=off", "--quiet", "engine.workers=1"]
    assert cli.run([*words, "seed=0,1"]) == 0
    sweep = Ledger("runs").read_sweep()
    capsys.readouterr()
    assert cli.run(["show", sweep.sweep_id[:6], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["runs"], found["finished"], found["failed"]) == (2, 2, 0)
    work, phases = found["seconds"]["work"], found["seconds"]["phases"]
    assert list(work) == ["training", "evaluation", "bookkeeping", "waiting"]
    assert list(phases) == ["planning", "running", "tracking", "results"]
    assert all(value > 0 for value in work.values())
    assert sum(work.values()) == pytest.approx(phases["running"])  # one process: all of its time
    assert cli.run(["show", "newest"]) == 0
    out = capsys.readouterr().out
    assert "2, of which 2 are finished" in out and "launched once, 2 runs to train" in out

    assert cli.run([*words, "seed=2", "--into", sweep.sweep_id]) == 0
    assert cli.run([*words, "seed=0,1"]) == 0  # nothing to train: nothing to tell
    launches = Ledger("runs").read_sweep(sweep.sweep_id).launches
    assert [launch["runs"] for launch in launches] == [2, 1]
    capsys.readouterr()
    assert cli.run(["show", sweep.sweep_id]) == 0
    assert "launched 2 times, 3 runs to train" in capsys.readouterr().out
    run_id = sweep.run_ids[0]
    assert cli.run(["show", run_id[:8]]) == 0
    assert run_id in capsys.readouterr().out


def test_what_begins_like_a_sweep_and_a_run_is_refused(tmp_path):
    from harness.cli.sweep_view import find_sweep

    ledger, record = Ledger(tmp_path / "runs"), made_record(1)
    ledger.write(record)
    sweep = new_sweep({record.run_id: record.config})
    object.__setattr__(sweep, "sweep_id", record.run_id[:4] + "0" * 12)
    ledger.write_sweep(sweep)
    with pytest.raises(ConfigError, match="give more digits"):
        find_sweep(record.run_id[:3], ledger)
    assert find_sweep(sweep.sweep_id, ledger).sweep_id == sweep.sweep_id
    assert find_sweep(record.run_id, ledger) is None


def test_seconds_add_up_over_launches(monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr("harness.cli.launch.time.monotonic", lambda: next(clock))
    launch = Launch()
    launch.processes = 2
    launch.end("planning")
    launch.end("running")
    launch.heard({"training": [4.0, 3.0], "evaluation": [5.0]})
    launch.heard({"training": [1.0]})
    launch.end("tracking")
    plain = launch.to_plain(7)
    # two processes for ten seconds, of which 8 + 5 are accounted for
    assert plain["work"] == {"training": 8.0, "evaluation": 5.0, "waiting": 7.0}
    assert plain["phases"] == {"planning": 1.0, "running": 10.0, "tracking": 1.0}
    assert total([plain, plain], "work") == {"training": 16.0, "evaluation": 10.0, "waiting": 14.0}
