"""Slurm's stand-ins on this machine: time limits, a command that died, jobs one after another."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from harness.config.settings import Cluster, Slurm
from harness.engine.train import train
from harness.records.ledger import Ledger
from tests.support.driven import ROOT, TINY, harness, numbers, numbers_of, start, wait_for
from tests.support.faults import Orders
from tests.support.stand import Stand, runs_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def orders(tmp_path, monkeypatch):
    own = Orders(tmp_path / "orders")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([own.path, str(ROOT)]))
    yield own
    own.end()


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "runs")
    made.prepare()
    return made


def words_in(root):
    """What the jobs under way have said, of all kinds."""
    files = sorted(root.glob("jobs/*/*/*.words"))
    return [json.loads(line)["kind"] for path in files for line in path.read_text().splitlines()]


def test_a_job_at_its_time_limit_saves_and_goes_on_in_the_next(orders, ledger):
    runs = runs_of(2000, seeds=range(2))
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    orders.give("wait", seed=1, step=1000)
    at = Stand(ledger, "slurm", Cluster(slurm=Slurm(cluster="local", minutes=0.4)))
    done = threading.Thread(target=at.run, args=(runs,))
    done.start()
    wait_for(lambda: "requeued" in words_in(ledger.root))
    assert orders.tries and not ledger.run_ids()
    orders.give("wait", seed=1, step=0)  # who begins anew would come by here, and wait for ever
    done.join(120)
    assert not done.is_alive() and not orders.tries
    assert numbers(ledger.root) == want and not at.ids("failed")
    assert at.ids("finished") == sorted(want)


def test_the_jobs_of_a_command_that_died_are_taken_up_by_the_same_command(orders, tmp_path):
    grid = [*TINY, "train.steps=2000", "seed=0,1", "engine.chunk=2", "tracking=off", "--quiet"]
    calm, home = tmp_path / "calm", tmp_path / "home"
    calm.mkdir()
    assert harness("sweep", *grid, cwd=calm)[0] == 0
    orders.give("wait", seed=1, step=1000)
    command = ["sweep", *grid, "engine.executor=slurm", "engine.slurm.cluster=local"]
    first = start(*command, cwd=home, before=orders.path)
    wait_for(lambda: orders.tries, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    again = start(*command, cwd=home, before=orders.path)
    wait_for(lambda: "under way" in (home / "err").read_text(), again)
    assert len(orders.tries) == 1
    orders.end()
    assert again.wait(120) == 0, (home / "err").read_text()
    assert "1 jobs of this sweep are under way" in (home / "err").read_text()
    assert len(orders.tries) == 1  # nobody else came by that step
    assert numbers(home / "runs") == numbers(calm / "runs")
    assert not list((home / "runs").glob("jobs/*"))


def test_debug_trains_one_job_after_another_in_the_command(ledger):
    runs = runs_of(200)
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    at = Stand(ledger, "slurm", Cluster(slurm=Slurm(cluster="debug", cores=2)))
    at.run(runs)
    assert numbers(ledger.root) == want and at.ids("finished") == sorted(want)
    assert not list(ledger.root.glob("jobs/*"))


def test_debug_stops_with_the_command_and_goes_on(orders, ledger):
    runs = runs_of(2000, seeds=range(2))
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    orders.give("wait", seed=1, step=1000)
    at = Stand(ledger, "slurm", Cluster(slurm=Slurm(cluster="debug")))
    stop = threading.Event()
    done = threading.Thread(target=at.run, args=(runs,), kwargs={"stop": stop})
    done.start()
    wait_for(lambda: orders.tries)
    stop.set()
    done.join(60)
    assert not done.is_alive() and not ledger.run_ids()
    wait_for(lambda: all(ledger.load_checkpoint(run_id) for run_id in want))
    orders.give("wait", seed=1, step=0)
    at.run(runs)
    assert numbers(ledger.root) == want and not orders.tries
