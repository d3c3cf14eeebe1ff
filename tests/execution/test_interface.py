"""What an executor promises, the same test on each of them: processes, Ray, Slurm's stand-in.

A fault is given as an order that every process with a certain folder on its path obeys.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from harness.config.run import RunConfig
from harness.config.settings import Cluster, Ray, Slurm
from harness.engine.train import train
from harness.errors import ConfigError
from harness.execution import interface
from harness.execution.interface import EXECUTORS, Ended, Task, check_executor, retry
from harness.records.durable import LedgerError
from harness.records.ledger import Ledger
from tests.support.driven import ROOT, numbers, numbers_of, wait_for
from tests.support.faults import Orders
from tests.support.stand import Stand, runs_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(scope="module", params=list(EXECUTORS))
def kind(request, orders):
    """(name, cluster settings), in an environment whose processes obey `orders`."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("PYTHONPATH", os.pathsep.join([orders.path, str(ROOT)]))
        if request.param == "ray":
            from tests.support.clusters import ray_cluster

            cluster = stack.enter_context(ray_cluster(nodes=1, cores=2))
            yield "ray", Cluster(ray=Ray(address=cluster.address))
        else:
            yield request.param, Cluster(slurm=Slurm(cluster="local"))


@pytest.fixture
def at(kind, orders, tmp_path):
    """A fresh ledger to train into, on this kind of executor."""
    ledger = Ledger(tmp_path / "runs")
    ledger.prepare()
    yield Stand(ledger, *kind)
    orders.end()


def test_every_run_is_trained_once_and_bitwise_as_in_this_process(at):
    runs = runs_of(200)
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    at.run(runs)
    assert numbers(at.ledger.root) == want
    assert at.ids("finished") == sorted(want)
    assert at.ids("evaluation") == sorted(want)
    seen = [event for event in at.events if event.kind == "evaluation"]
    assert all(len(event.values["nll/val"]) == len(event.run_ids) for event in seen)
    assert not list(at.ledger.root.glob("tmp/*")) and not list(at.ledger.root.glob("jobs/*"))


def test_what_has_a_record_is_told_and_left_unless_it_is_to_be_replaced(at):
    runs = runs_of(50)
    at.run(runs[:2])
    before = {i: at.ledger.read(i).provenance["started"] for i in at.ledger.run_ids()}
    at.run(runs)
    after = {i: at.ledger.read(i).provenance["started"] for i in at.ledger.run_ids()}
    assert before.items() <= after.items() and at.ids("finished") == sorted(after)
    at.run(runs, replace=True)
    again = {i: at.ledger.read(i).provenance["started"] for i in at.ledger.run_ids()}
    assert again.keys() == after.keys() and all(again[i] > after[i] for i in again)


def test_an_error_is_the_failure_of_its_run_alone_and_is_tried_once(at, orders):
    orders.give("raise", seed=2, step=21)
    runs = runs_of(50)
    at.run(runs)
    (failed,) = at.ids("failed")
    assert len(at.ids("finished")) == 3
    (event,) = [event for event in at.events if event.kind == "failed"]
    assert event.message == "RuntimeError: boom" and "boundary" in event.traceback
    assert at.ledger.failures([failed])[failed]["message"] == event.message
    assert [size for _, size in orders.tries] == [2, 1]  # with its neighbour, then alone


def test_a_run_that_kills_its_process_is_the_only_one_to_fail(at, orders):
    orders.give("die", seed=2, step=21)
    at.run(runs_of(50))
    assert len(at.ids("finished")) == 3 and len(at.ids("failed")) == 1
    assert [size for _, size in orders.tries] == [2, 2, 1]
    (event,) = [event for event in at.events if event.kind == "failed"]
    assert "failed twice: its process ended without a word" in event.message
    orders.end()
    at.run(runs_of(50))
    assert len(numbers(at.ledger.root)) == 4 and not at.ledger.failures(at.ledger.run_ids())


def test_a_killed_process_goes_on_from_its_checkpoints(at, orders):
    runs = runs_of(2000, seeds=range(2))
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    orders.give("wait", seed=1, step=1000)
    done = threading.Thread(target=at.run, args=(runs,), kwargs={"seconds": 0.0})
    done.start()
    wait_for(lambda: orders.tries)
    (pid, _) = orders.tries[0]
    orders.give("wait", seed=1, step=0)  # who begins anew would come by here, and wait for ever
    os.kill(pid, 9)
    done.join(120)
    assert not done.is_alive() and not orders.tries
    assert numbers(at.ledger.root) == want and not at.ids("failed")


def test_a_stop_saves_and_the_same_runs_go_on(at, orders):
    runs = runs_of(2000, seeds=range(2))
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    orders.give("wait", seed=1, step=1000)
    stop = threading.Event()
    done = threading.Thread(target=at.run, args=(runs,), kwargs={"stop": stop})
    done.start()
    wait_for(lambda: orders.tries)
    stop.set()
    done.join(60)
    assert not done.is_alive() and not at.ids("failed")
    states = [at.ledger.load_checkpoint(run_id) for run_id in want]
    assert all(1000 <= state["step"] < 1100 for state in states)
    orders.end()
    began = time.time()
    at.run(runs)
    assert numbers(at.ledger.root) == want
    assert all(at.ledger.read(i).provenance["started"] < began for i in want)
    assert not list(at.ledger.root.glob("checkpoints/*"))


def test_a_ledger_that_cannot_be_written_ends_everything(at):
    (at.ledger.root / "records").write_text("a file where the folder should be")
    with pytest.raises(LedgerError, match="cannot write the records in"):
        at.run(runs_of(50))


def test_an_unknown_executor_and_a_missing_package_are_told(monkeypatch):
    with pytest.raises(ConfigError, match="Did you mean 'ray'"):
        check_executor("rey")
    monkeypatch.setattr(interface.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'harness\[ray\]'"):
        check_executor("ray")
    check_executor("local")


def test_a_lost_chunk_is_tried_again_then_halved_then_a_lone_run_fails():
    runs = {str(seed): RunConfig(seed=seed) for seed in range(3)}
    again, failed = retry(Task(dict(runs)), Ended(lost="it died"))
    assert [(list(t.runs), t.deaths) for t in again] == [(["0", "1", "2"], 1)] and failed is None
    halves, failed = retry(again[0], Ended(lost="it died"))
    assert [(list(t.runs), t.deaths) for t in halves] == [(["0"], 1), (["1", "2"], 1)]
    none, failed = retry(halves[0], Ended(lost="it died"))
    assert none == [] and failed.run_ids == ("0",) and failed.message == "failed twice: it died"


def test_a_chunk_that_takes_too_much_memory_is_halved_at_once():
    runs = {str(seed): RunConfig(seed=seed) for seed in range(4)}
    halves, _ = retry(Task(dict(runs)), Ended(lost="memory", memory=True))
    assert [(list(t.runs), t.deaths) for t in halves] == [(["0", "1"], 0), (["2", "3"], 0)]
    lone = Task({"0": runs["0"]})
    for _ in range(2):
        again, failed = retry(lone, Ended(lost="memory", memory=True))
        lone = again[0] if again else lone
    assert failed.run_ids == ("0",)


def test_a_lost_node_is_nobodys_fault_up_to_a_bound():
    task = Task({"0": RunConfig()})
    for count in range(1, interface.MOST_LOSSES + 1):
        (task,), failed = retry(task, Ended(lost="its node went away", own=False))
        assert (task.deaths, task.losses, failed) == (0, count, None)
    (task,), _ = retry(task, Ended(lost="its node went away", own=False))
    assert task.deaths == 1
