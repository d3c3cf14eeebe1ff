"""Runs trained by themselves are runs like any other: every verb finds and takes them."""

from __future__ import annotations

import json

import pytest

from harness import ConfigError
from harness.analysis.lookup import find_record
from harness.analysis.places import places
from harness.analysis.sources import read_sweep
from harness.cli import main as cli
from harness.config.settings import Tracking
from harness.records.ledger import Ledger
from harness.records.manifests import new_single, new_sweep
from tests.support.made import made_record


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs of a sweep, and two of experiment "third" trained by themselves after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    ledger = Ledger("runs")
    made = [made_record(s, scale=g) for g, s in ((0.1, 0), (1.0, 1), (1.0, 2), (3.0, 5), (3.0, 6))]
    for record in made:
        ledger.write(record)
    ledger.write_sweep(new_sweep({r.run_id: r.config for r in made[:3]}))
    for record in made[3:]:
        told = {"experiment": "third"}
        ledger.write_sweep(new_single(record.run_id, record.config, tracking=told))
    return made


def told(capsys, *words, code=0):
    assert cli.run(list(words)) == code, capsys.readouterr().err
    return capsys.readouterr()


def test_list_shows_them_by_what_they_are(runs, capsys):
    lines = told(capsys, "list").out.splitlines()
    one = next(line for line in lines if runs[4].run_id in line)
    assert "cross_entropy weight_scale=3" in one and "seed=6" in one and "third" in one
    found = json.loads(told(capsys, "list", "--json").out)
    assert [one["kind"] for one in found] == ["single", "single", "sweep"]  # newest first
    assert found[0]["sweep_id"] == runs[4].run_id and found[0]["runs"] == 1


def test_runs_are_compared_by_their_ids_of_a_sweep_or_not(runs, capsys):
    ids = [runs[0].run_id[:8], runs[3].run_id]
    rows = json.loads(told(capsys, "compare", *ids, "--json").out)
    assert [row["config"]["init.weight_scale"] for row in rows] == [0.1, 3.0]
    out = told(capsys, "compare", *ids).out
    assert out.startswith("2 runs\n")
    assert read_sweep(ids).curves["run_id"].nunique() == 2


def test_an_experiment_that_holds_single_runs_alone_is_compared(runs, capsys):
    rows = json.loads(told(capsys, "compare", "third", "--json").out)
    assert [row["n"] for row in rows] == [2]
    err = told(capsys, "compare", "thrd", code=2).err
    assert "Did you mean 'third'" in err and "no sweep 'thrd'" in err


def test_newest_and_best(runs, capsys):
    assert find_record("newest").run_id == runs[4].run_id  # the newest of all
    assert find_record("best").run_id == runs[0].run_id  # of the newest sweep: lowest best/nll_val
    sweep = Ledger("runs").read_sweep().sweep_id
    assert find_record(f"best:{sweep[:6]}").run_id == runs[0].run_id
    assert find_record("best:third").run_id == runs[3].run_id
    shown = json.loads(told(capsys, "show", "best", "--json").out)
    assert shown["run_id"] == runs[0].run_id
    shown = json.loads(told(capsys, "show", "newest", "--json").out)
    assert shown["run_id"] == runs[4].run_id  # newer than the sweep
    with pytest.raises(ConfigError, match="there is no sweep 'nope'"):
        find_record("best:nope")


def test_the_best_of_losses_that_cannot_be_compared_is_not_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from harness import Loss
    from tests.support.made import SHA, made_config

    ledger = Ledger("runs")
    made = []
    for loss in ("mse", "cross_entropy"):
        config = made_config(0, loss=Loss(name=loss))
        ids = {"run_id": config.run_id(SHA), "config_id": config.config_id(SHA)}
        made.append(made_record(0, config=config, **ids))
        ledger.write(made[-1])
    ledger.write_sweep(new_sweep({r.run_id: r.config for r in made}))
    with pytest.raises(ConfigError, match=f"{made[0].run_id}, {made[1].run_id}"):
        find_record("best")


def test_a_ledger_that_is_named_is_the_only_place(runs, tmp_path, monkeypatch, capsys):
    """What another store holds is not shown, whatever it is called."""
    other = Ledger(tmp_path / "other")
    other.write(made_record(9))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'absent.db'}")
    for words in (["show", runs[0].run_id], ["compare", "third"], ["sample", runs[0].run_id],
                  ["reproduce", runs[0].run_id], ["report", runs[0].run_id], ["list"]):  # fmt: skip
        err = told(capsys, *words, "--ledger", "other", code=2).err
        assert "absent.db" not in err and "other" in err, words
    assert not places("other").mlflow and places("other", "sqlite:///x.db").mlflow


def test_read_sweep_finds_the_default_folder(runs):
    assert len(read_sweep().runs) == 3
    assert len(read_sweep("all").runs) == 5


def test_a_single_run_is_removed_and_a_sweeps_run_is_not(runs, capsys):
    assert "single" not in told(capsys, "rm", runs[4].run_id[:9], "--dry-run").out
    told(capsys, "rm", runs[4].run_id[:9], "--yes")
    assert not Ledger("runs").has(runs[4].run_id)
    err = told(capsys, "rm", runs[0].run_id, "--yes", code=2).err
    assert "a run of sweep" in err and Ledger("runs").has(runs[0].run_id)


def test_a_report_of_single_runs(runs, tmp_path, capsys):
    told(capsys, "report", runs[3].run_id, runs[4].run_id, "-o", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert runs[3].run_id in page and page.count("<svg")


def test_name_note_and_tags_are_in_list_and_report(runs, tmp_path, capsys):
    own = Tracking(run_name="wide starts", note="Why wide?", tags={"team": "vision"}).kept({})
    pair = {r.run_id: r.config for r in runs[2:4]}
    sweep = Ledger("runs").write_sweep(new_sweep(pair, tracking=own))
    told(capsys, "report", sweep.sweep_id, "-o", "page.html")
    page = (tmp_path / "page.html").read_text()
    for out in (page, told(capsys, "list").out):
        assert all(word in out for word in ("wide starts", "Why wide?", "team", "vision")), out
    newest = json.loads(told(capsys, "list", "--json").out)[0]
    assert (newest["named"], newest["tags"]) == ("wide starts", {"team": "vision"})


def test_into_joins_sweeps_alone(runs):
    with pytest.raises(ConfigError, match="there is no sweep"):
        Ledger("runs").read_sweep(runs[3].run_id)


def test_a_run_that_was_there_already_has_the_sweeps_own_values(tmp_path, monkeypatch, capsys):
    """output_bias=zero, and embed_lr=.1 beside lr=.1, are the default written out."""
    monkeypatch.chdir(tmp_path)
    small = ("data.fraction=.02", "train.steps=10", "model.hidden=[8]", "tracking=off", "--quiet")
    told(capsys, "train", *small)
    told(capsys, "sweep", "init.output_bias=zero,normal", *small)
    assert len(Ledger("runs").run_ids()) == 2  # the first was not trained again
    out = told(capsys, "compare", "--where", "init.output_bias=zero", "--json").out
    [row] = json.loads(out)
    assert row["config"] == {"init.output_bias": "zero"}
    names = [run["name"] for run in json.loads(told(capsys, "list", "newest", "--json").out)]
    assert names == ["output_bias=zero", "output_bias=normal"]
    told(capsys, "sweep", "optim.embed_lr=.05,.1", *small)
    out = told(capsys, "compare", "--where", "optim.embed_lr=.1", "--json").out
    assert [row["config"] for row in json.loads(out)] == [{"optim.embed_lr": 0.1}]
