"""Ray alone: a node that dies, and nodes that do not see the ledger."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from harness.config.settings import Cluster, Ray
from harness.engine.train import train
from harness.execution import process, ray_task
from harness.records.ledger import Ledger
from tests.support.clusters import STORE, ray_cluster
from tests.support.driven import ROOT, numbers, numbers_of, wait_for
from tests.support.faults import Orders
from tests.support.stand import Stand, runs_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


class Apart(Ledger):
    """A ledger in which no node finds the driver's probe file."""

    @property
    def scratch(self):
        return self.root / "elsewhere"


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(scope="module")
def cluster(orders):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([orders.path, str(ROOT)]))
        with ray_cluster(nodes=2, cores=1) as made:
            yield made


@pytest.fixture
def stand(cluster, orders, tmp_path):
    """An executor on the cluster, over a ledger of this kind."""

    def over(kind):
        ledger = kind(tmp_path / "runs")
        ledger.prepare()
        return Stand(ledger, "ray", Cluster(ray=Ray(address=cluster.address)))

    yield over
    orders.end()


def node_of(cluster, pid):
    """The node whose raylet is the parent of this worker."""
    status = Path(f"/proc/{pid}/status").read_text()
    (parent,) = [int(x.split()[1]) for x in status.splitlines() if x.startswith("PPid:")]
    for node in cluster.nodes:
        if node.all_processes["raylet"][0].process.pid == parent:
            return node
    raise AssertionError(f"no raylet {parent}")


def test_the_runs_of_a_node_that_dies_go_on_elsewhere_from_their_checkpoints(
    stand, cluster, orders
):
    runs = runs_of(2000)
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    orders.give("wait", seed=1, step=1000)
    at = stand(Ledger)
    done = threading.Thread(target=at.run, args=(runs,), kwargs={"seconds": 0.0})
    done.start()
    wait_for(lambda: orders.tries)
    lost = node_of(cluster, orders.tries[0][0])
    orders.give("wait", seed=1, step=0)  # who begins anew would come by here, and wait for ever
    cluster.nodes.remove(lost)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.nodes.append(cluster.add_node(num_cpus=1, wait=False, **STORE))
    done.join(240)
    assert not done.is_alive() and not orders.tries
    assert numbers(at.ledger.root) == want and not at.ids("failed")
    assert at.ids("finished") == sorted(want)


def test_records_travel_from_a_node_that_does_not_see_the_ledger(stand):
    runs = runs_of(200)
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    at = stand(Apart)
    at.run(runs)
    assert numbers(at.ledger.root) == want and at.ids("finished") == sorted(want)
    assert at.notes.count("does not see this ledger's folder") == 1
    before = {i: at.ledger.read(i).provenance["started"] for i in want}
    at.run(runs[:2], replace=True)
    after = {i: at.ledger.read(i).provenance["started"] for i in want}
    assert sum(after[i] > before[i] for i in want) == 2 and numbers(at.ledger.root) == want


def test_failures_travel_too_and_a_process_killed_there_begins_anew(stand, orders):
    runs = runs_of(400)
    want = {r.run_id: numbers_of(r) for r in train(runs)}
    at = stand(Apart)
    orders.give("raise", seed=2, step=20)
    at.run(runs)
    (failed,) = at.ids("failed")
    assert at.ledger.failures([failed])[failed]["message"] == "RuntimeError: boom"
    assert "boundary" in at.ledger.failures([failed])[failed]["traceback"]
    orders.give("wait", seed=2, step=200)
    done = threading.Thread(target=at.run, args=(runs,), kwargs={"seconds": 0.0})
    done.start()
    wait_for(lambda: orders.tries)
    (pid, _) = orders.tries[0]
    orders.end()
    os.kill(pid, 9)
    done.join(120)
    assert not done.is_alive() and numbers(at.ledger.root) == want
    assert not at.ledger.failures(list(want)) and not list(at.ledger.root.glob("checkpoints/*"))


def test_what_is_sent_in_place_of_a_ledger_is_the_record_to_the_last_bit(tmp_path):
    runs, heard = runs_of(60, seeds=range(3)), []
    trained = {record.run_id: record for record in train(runs)}
    process.serve(runs, process.Work(ledger=ray_task.Sent(heard.append), emit=heard.append))
    (sent,) = [said for said in heard if said["kind"] == "records"]
    records = ray_task.unpack(sent["blob"])
    kinds = [said["kind"] for said in heard]
    assert kinds.index("records") < kinds.index("finished")  # the driver keeps, then reports
    assert {r.run_id: numbers_of(r) for r in records} == {
        run_id: numbers_of(record) for run_id, record in trained.items()
    }
    for record in records:
        plain, own = record.to_plain(), trained[record.run_id].to_plain()
        differing = {key for key in plain if plain[key] != own[key]}
        assert differing <= {"provenance", "summary"}  # when it began, how fast it was
        assert record.config == trained[record.run_id].config
    ledger = Ledger(tmp_path / "runs")
    ledger.prepare()
    assert ledger.write_many(records) == set(trained)


@pytest.mark.parametrize("what", ["no probe", "no folder", "cannot write"])
def test_a_folder_is_the_drivers_only_with_its_probe_in_it(tmp_path, what, monkeypatch):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "probe.1").touch()
    assert ray_task.sees(tmp_path, "probe.1")
    assert [p.name for p in (tmp_path / "tmp").iterdir()] == ["probe.1"]
    if what == "cannot write":

        def refuse(*_, **__):
            raise PermissionError

        monkeypatch.setattr(Path, "touch", refuse)
    root = tmp_path / "none" if what == "no folder" else tmp_path
    assert not ray_task.sees(root, "probe.2" if what == "no probe" else "probe.1")
