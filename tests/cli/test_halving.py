"""Successive halving: who stays, that survivors know nothing of it, that the dropped go on."""

import contextlib
import math
import sqlite3

import numpy as np
import pytest

from harness import Loss, RunConfig, Train
from harness.cli.halving import Configuration, halve
from harness.cli.jobs import check_jobs
from harness.config.settings import Halving
from harness.errors import ConfigError
from harness.execution.rungs import Rung
from harness.records.ledger import Ledger
from tests.support.driven import harness, numbers


@pytest.mark.parametrize(
    ("steps", "every", "factor", "i", "want"),
    [
        (900, 1, 3, 2, 100), (900, 1, 3, 1, 300), (900, 70, 3, 1, 350), (900, 100, 3, 1, 300),
        (900, 450, 3, 1, 450), (900, 450, 3, 2, 450), (900, 900, 3, 1, None), (10, 3, 2, 1, 6),
    ],
)  # fmt: skip
def test_a_rung_is_the_first_evaluation_at_or_after(steps, every, factor, i, want):
    assert Rung(factor, i).step(RunConfig(train=Train(steps=steps, eval_every=every))) == want


class Records:
    """A ledger in which every run is a checkpoint with a straight curve of its own."""

    def __init__(self, ends, diverged=()):
        self.ends, self.at, self.diverged = ends, {}, diverged

    def read(self, run_id, weights=False):
        return None

    def finished(self, runs):
        return set()

    def load_checkpoint(self, run_id):
        steps = list(range(0, self.at[run_id] + 1, 10))
        curve = (steps, [4 + (self.ends[run_id] - 4) * s / 900 for s in steps])
        return {
            "meta": {"diverged": 10 if run_id in self.diverged else None},
            "series": {"nll/val": curve, "nll/train": curve},
        }


def halved(ends, losses=None, diverged=(), factor=3, rungs=2):
    """(who was trained to the end, Halved) of configurations of one run each."""
    losses = losses or ["cross_entropy"] * len(ends)
    train = Train(steps=900, eval_every=10)
    runs = {str(i): RunConfig(train=train, loss=Loss(name=loss)) for i, loss in enumerate(losses)}
    ledger = Records({str(i): end for i, end in enumerate(ends)}, diverged)
    last = []

    def go(part, rung):
        for run_id, run in part.items():
            ledger.at[run_id] = 900 if rung is None else rung.step(run)
        last[:] = part

    every = [Configuration({run_id: run}) for run_id, run in runs.items()]
    out = halve(every, Halving(factor=factor, rungs=rungs), ledger, go, lambda: False)
    return last, out


def test_the_best_stay_in_the_grids_order():
    last, out = halved([3.0, 2.0, 2.5, 1.0, 3.5, 2.2, 1.5, 3.3, 2.8])
    assert last == ["3"]  # 9 -> 3 (1, 3, 6) -> 1
    assert out.dropped == {"0": 100, "2": 100, "4": 100, "5": 100, "7": 100, "8": 100, "1": 300,
                           "6": 300}  # fmt: skip


def test_ties_go_to_the_first_and_diverged_ones_last():
    last, _ = halved([2.0] * 9, diverged={"0"})
    assert last == ["1"]
    last, _ = halved([2.0] * 4, factor=2, rungs=1)
    assert last == ["0", "1"]
    last, _ = halved([2.0] * 5, factor=2, rungs=1)
    assert last == ["0", "1", "2"]  # ceil(5 / 2)


def test_no_loss_is_culled_for_its_units():
    """Without a calibrated NLL on the way, losses are judged apart."""
    losses = ["cross_entropy"] * 3 + ["mse"] * 3
    last, _ = halved([1.0, 1.1, 1.2, 3.0, 2.9, 3.1], losses, rungs=1)
    assert last == ["0", "4"]


@pytest.mark.parametrize(("key", "value"), [("factor", 1), ("factor", 2.5), ("rungs", 0)])
def test_a_wrong_halving_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"halving.{key}"):
        Halving(**{key: value})


def test_halving_wants_validation_to_choose_by():
    data = {"name": "four_points", "split": [1, 0, 0]}
    point = {"data": data, "loss": {"name": "max_margin"}, "halving": {"factor": 2}}
    with pytest.raises(ConfigError, match=r"data.split is .* by which halving chooses"):
        check_jobs([point])


GRID = ["sweep", "optim.lr=.01,.1,.5,1,3,30", "seed=0,1", "data.fraction=0.02", "model.hidden=[8]",
        "train.steps=300", "train.eval_every=10", "--quiet"]  # fmt: skip
HALVING = ["halving.factor=3", "halving.rungs=2"]


def in_store(path):
    """run id -> (status, stopped_at) of every child, and the parent's status."""
    with contextlib.closing(sqlite3.connect(path)) as base:
        tags, status = {}, dict(base.execute("SELECT run_uuid, status FROM runs"))
        for run, key, value in base.execute("SELECT run_uuid, key, value FROM tags"):
            tags.setdefault(run, {})[key] = value
    children = {
        own["harness.run_id"]: (status[run], own.get("harness.stopped_at"))
        for run, own in tags.items() if own.get("harness.kind") == "run"
    }  # fmt: skip
    (parent,) = (status[run] for run, own in tags.items() if own.get("harness.kind") == "sweep")
    return children, parent


@pytest.mark.slow
def test_survivors_are_bitwise_what_they_are_without_it_and_the_dropped_go_on(tmp_path):
    alone, mine = tmp_path / "alone", tmp_path / "mine"
    for folder in (alone, mine):
        folder.mkdir()
    assert harness(*GRID, "tracking=off", cwd=alone)[0] == 0
    whole = numbers(alone / "runs")
    code, out, err = harness(*GRID, *HALVING, cwd=mine)
    assert code == 0, err
    assert "5 of 6 configurations" in out and "best of 6" in out
    kept = numbers(mine / "runs")
    assert len(kept) == 2 and kept.items() <= whole.items()
    sweep = Ledger(mine / "runs").read_sweep()
    assert len(sweep.dropped) == 10 and set(sweep.dropped.values()) == {40, 100}
    children, parent = in_store(mine / "mlflow.db")
    assert parent == "FINISHED" and len(children) == 12
    for run_id, (status, at) in children.items():
        dropped = sweep.dropped.get(run_id)
        assert (status, at) == (("FINISHED", None) if dropped is None else ("KILLED", str(dropped)))
    # the best of all was not the victim of an early look here: regret is 0 on this grid
    ledger = Ledger(alone / "runs")
    means = {}
    for run_id in whole:
        record = ledger.read(run_id, weights=False)
        value = record.summary.get("best/nll_val", math.inf)
        value = math.inf if record.verdict == "diverged" else value
        means.setdefault(record.config.optim.lr, []).append(value)
    best = min(means, key=lambda lr: np.mean(means[lr]))
    kept_rates = {ledger.read(run_id, weights=False).config.optim.lr for run_id in kept}
    assert kept_rates == {best}
    # the same command again trains nothing and drops the same
    code, _, err = harness(*GRID, *HALVING, cwd=mine)
    assert code == 0 and numbers(mine / "runs") == kept
    # without halving the same sweep completes them from where they were, under the same id
    code, out, err = harness(*GRID, cwd=mine)
    assert code == 0, err
    assert numbers(mine / "runs") == whole
    after = Ledger(mine / "runs").read_sweep()
    assert after.sweep_id == sweep.sweep_id and not after.dropped
    children, parent = in_store(mine / "mlflow.db")
    assert parent == "FINISHED" and set(children.values()) == {("FINISHED", None)}
