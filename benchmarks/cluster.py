"""Scheduling and writing of many runs over many Ray nodes, with training replaced by a sleep.

    python -m benchmarks.cluster [--runs 100000] [--nodes 8] [--cores 2] [--seconds 1.0] [--apart]

The nodes are processes of this machine. A chunk of 32 runs sleeps and then leaves 32 records with
curves and weights of a real run: written by the node into the ledger that all share, or (--apart)
sent to the driver and written there. Printed: runs a second of wall time, what of it the sleep
alone takes, and the driver's seconds of CPU a thousand runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster as Nodes

from harness import Data, Engine, Model, RunConfig, Train, train
from harness.config.settings import Cluster, Ray
from harness.execution.interface import Event, Place, run_jobs
from harness.execution.ray_cluster import RayExecutor
from harness.execution.ray_task import pack, sees, unpack
from harness.records.ledger import Ledger

CHUNK = 32
NODE = {"object_store_memory": 100_000_000, "include_dashboard": False}
SMALL = {"data": Data(fraction=0.02), "model": Model(n_embd=4, hidden=(32,))}


def pretend(text: str, template: bytes, seconds: float, apart: bool) -> Iterator[Any]:
    """In place of ray_task.train_chunk: sleep, then a copy of one record for every run."""
    order, (record,) = json.loads(text), unpack(template)
    time.sleep(seconds)
    copies = [
        dataclasses.replace(
            record, run_id=run_id, config=dataclasses.replace(record.config, seed=config["seed"])
        )
        for run_id, config in order["runs"].items()
    ]
    ids = list(order["runs"])
    done = {"kind": "finished", "run_ids": ids}
    if apart:
        yield json.dumps([{"kind": "records", "blob": 0}, done]), [pack(copies)]
        return
    ledger = Ledger(order["ledger"])
    assert sees(ledger.root, order["probe"])
    ledger.write_many(copies)
    yield json.dumps([done]), []


class Pretending(RayExecutor):
    """The executor as it is, but for what a task does."""

    def __init__(self, place: Place, template: bytes, seconds: float, apart: bool) -> None:
        super().__init__(place)
        task = ray.remote(num_returns="streaming", max_retries=0)(pretend)
        self.function = _Bound(task, ray.put(template), seconds, apart)


class _Bound:
    def __init__(self, task: Any, *more: Any) -> None:
        self.task, self.more = task, more

    def options(self, **given: Any) -> _Bound:
        return _Bound(self.task.options(**given), *self.more)

    def remote(self, text: str) -> Any:
        return self.task.remote(text, *self.more)


def cpu() -> float:
    """Seconds of CPU of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make the cluster, carry the runs, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--cores", type=int, default=2, help="a node")
    parser.add_argument("--seconds", type=float, default=1.0, help="of sleep a chunk")
    parser.add_argument("--apart", action="store_true", help="no shared folder: records travel")
    args = parser.parse_args()
    base = {"train": Train(steps=200), "engine": Engine(chunk=CHUNK), **SMALL}
    template = pack(train([RunConfig(**base)]))
    runs = [RunConfig(seed=seed, **base) for seed in range(args.runs)]
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
    for _ in range(args.nodes):
        nodes.add_node(num_cpus=args.cores, wait=False, **NODE)
    nodes.wait_for_nodes()
    counts = {"finished": 0}

    def on_event(event: Event) -> None:
        counts["finished"] += len(event.run_ids) if event.kind == "finished" else 0

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "runs")
        ledger.prepare()
        place = Place(
            ledger=ledger, name="bench", processes=1,
            cluster=Cluster(ray=Ray(address=nodes.address)),
        )  # fmt: skip
        executor = Pretending(place, template, args.seconds, args.apart)
        began, used = time.monotonic(), cpu()
        run_jobs(runs, executor=executor, place=place, on_event=on_event, stop=threading.Event())
        wall, used = time.monotonic() - began, cpu() - used
        kept = len(ledger.run_ids())
        size = sum(p.stat().st_size for p in ledger.root.rglob("*") if p.is_file())
    chunks, slots = -(-args.runs // CHUNK), args.nodes * args.cores
    print(
        f"{args.runs:,} runs in {chunks:,} chunks over {args.nodes} nodes of {args.cores} cores: "
        f"{wall:.1f} s, {args.runs / wall:,.0f} runs/s; sleep alone "
        f"{chunks / slots * args.seconds:.1f} s\n"
        f"driver {1000 * used / args.runs:.2f} s of CPU a thousand runs; {counts['finished']:,} "
        f"told, {kept:,} in the ledger, {size / args.runs:,.0f} bytes a run"
    )
    nodes.shutdown()


if __name__ == "__main__":
    main()
