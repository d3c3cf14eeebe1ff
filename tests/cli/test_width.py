"""At 80 columns no line is longer, no word is broken, and units stand with the numbers."""

from __future__ import annotations

import pytest

from harness.cli import main as cli
from harness.config.groups import Init, Loss, Model, Reg
from harness.config.labels import loss_unit, unit_of
from harness.records.ledger import Ledger
from harness.records.manifests import new_single, new_sweep
from tests.support.made import made_config, made_record


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """A command's stdout, which must fit 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words, code=0):
        assert cli.run(list(words)) == code, capsys.readouterr().err
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines()), default=0) <= 80, words
        return out

    return run


def test_estimates(said):
    out = said("estimate")
    assert "    init.output_scale=0\n    init.output_bias=log_unigram\n" in out
    assert "floors, nats/char (" in out
    assert "nats/example" in said("estimate", "data=points", "loss=binary_cross_entropy")
    long = "[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9]"
    grid = [f"model.hidden={long},[8]", "loss=mse", "init.weight_scale=.1,30", "data.fraction=.1"]
    table = said("estimate", "--sweep", *grid, "init.scheme=normal")
    for word in (f"hidden={long}", "hidden=[8]", "weight_scale=0.1"):
        assert word in table.split()


@pytest.mark.parametrize("verb", [
    "", "train", "confirm", "list", "show", "diff", "compare", "report",
    "estimate", "coordinates", "sample", "reproduce", "rm", "sync", "ui", "doctor", "components",
    "explain", "completion",
])  # fmt: skip
def test_help(said, verb):
    assert verb in said(*[verb] * bool(verb), "--help")


def test_verbs_over_runs(said):
    """A sweep whose settings vary in five ways, and a single run with a long name."""
    ledger, long = Ledger("runs"), Model(hidden=(50,) * 8)
    made = [
        made_record(seed, config=made_config(seed, loss=loss, init=init, reg=reg, model=model))
        for seed in range(2)
        for loss in (Loss(name="squentropy"), Loss(name="crammer_singer"))
        for init in (Init(weight_scale=0.1), Init(scheme="orthogonal"))
        for reg, model in ((Reg(), Model()), (Reg(name="weight_decay", strength=0.001), long))
    ]
    ledger.write_many(made)
    sweep = new_sweep({r.run_id: r.config for r in made}, tracking={"experiment": "lab"})
    ledger.write_sweep(sweep)
    single = new_single(made[-1].run_id, made[-1].config, tracking={"experiment": "a laboratory"})
    ledger.write_sweep(single)
    for words in (
        ["list"], ["list", sweep.sweep_id], ["show", sweep.sweep_id], ["show", made[0].run_id],
        ["compare", sweep.sweep_id], ["compare", "all", "--by", "loss.name"],
        ["compare", sweep.sweep_id, "--metric", "nll/val,nll/train,gap/nll,floor/unigram"],
        ["compare", sweep.sweep_id, "--baseline", "loss.name=squentropy"],
        ["diff", made[0].run_id, made[-1].run_id], ["rm", single.sweep_id, "--dry-run"],
        ["components"], ["explain", "loss"],
    ):  # fmt: skip
        told = said(*words, "--ledger", "runs") if words[0] not in ("components", "explain") else (
            said(*words)
        )  # fmt: skip
        assert not {"squentro", "crammer_s", "orthogo"} & set(told.split())


@pytest.mark.slow
def test_a_run_says_its_units(said):
    short = ["data.words=300", "train.steps=4", "model.hidden=[8]", "--quiet", "tracking=off"]
    out = said("train", "data=points", "data.split=[1,0,0]", "loss=binary_cross_entropy", *short)
    assert "nats/example" in out and "nats/char" not in out
    assert "unvalidated, training nll" in out or "underfit, training nll" in out


def test_units_are_those_of_the_data_and_the_loss():
    assert loss_unit("cross_entropy", "census") == "nats/char"
    assert loss_unit("binary_cross_entropy", "points") == "nats/example"
    assert loss_unit("squared_error", "points") == "squared error"
    assert unit_of("nll/val", loss="mse", source="census") == "nats/char"
    assert unit_of("loss/val", loss="nll", source="census") == "nats/char"
    assert unit_of("loss/val", loss="mse", source="census") == "squared error"
    assert unit_of("gap/nll", loss="max_margin", source="moons") == "nats/example"
    assert unit_of("best/step", loss="mse", source="census") == "steps"
    assert unit_of("loss/val", loss="of another version", source="census") == ""
