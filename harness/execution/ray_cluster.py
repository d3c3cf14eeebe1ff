"""Chunks as tasks of a Ray cluster, or of Ray on this machine; see ray_task.py for their side.

Ray itself retries nothing: a task's end reaches `interface.run_jobs`, which carries on from the
checkpoints. Words come as a stream, a batch at a time, and never more than two tasks a core wait.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.config.run import RunConfig
from harness.errors import ConfigError, HarnessError
from harness.execution import node, ray_task
from harness.execution.interface import Ended, Place, Task, Word

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is loaded: it calls nobody
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # ray_task does that itself

import ray
from ray import exceptions as gone

A_CORE = 2  # tasks in flight: one in training, one on its way
SPEAK_SECONDS = 0.5  # between batches of a task's words ...
WORDS_A_SECOND = 500  # ... but no more than so many of all tasks together
LOOK_SECONDS = 2.0  # between looks at how large the cluster is
ANSWER_SECONDS = 5.0  # for the head of a cluster to take a connection
FETCH_SECONDS = 60.0  # for what a living node has said to come here
STORE_BYTES = 100_000_000  # Ray's object store on this machine: what is sent is small


class RayExecutor:
    """One task a chunk, one core a task (and a card where the runs need one)."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.own = not ray.is_initialized()
        if self.own:
            _connect(place)
        self.tasks: dict[Any, Task] = {}  # a stream of words -> whose they are
        self.looked, self.known = float("-inf"), 1
        self.nodes = node.Nodes()
        self.hosts: dict[Any, str] = {}  # stream -> id of the node that speaks
        self.probe = f"probe.{uuid.uuid4().hex}"
        self.function = ray.remote(num_returns="streaming", max_retries=0)(ray_task.train_chunk)

    @property
    def cores(self) -> int:
        """The cluster's CPUs, as Ray counts them now."""
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            self.known = max(1, int(_resources().get("CPU", 0)))
        return self.known

    def take_up(self, runs: Mapping[str, RunConfig]) -> list[Task]:
        """Tasks end with the driver that began them."""
        del runs
        return []

    def pack(self, tasks: list[Task]) -> list[Task]:
        """One chunk at a time is carried."""
        return tasks

    def free(self) -> int:
        """Bounded, so that a retried chunk need not wait behind the whole sweep."""
        return A_CORE * self.cores - len(self.tasks)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hand each task to Ray."""
        self.place.ledger.scratch.mkdir(parents=True, exist_ok=True)
        (self.place.ledger.scratch / self.probe).touch()
        speak = max(SPEAK_SECONDS, A_CORE * self.cores / WORDS_A_SECOND)
        for task in tasks:
            order = node.order(task, self.place) | {"probe": self.probe, "speak_seconds": speak}
            cards = 1 if order["device"] == "cuda" else 0
            if cards and not _resources().get("GPU"):
                raise HarnessError("engine.device is 'cuda', but no node of this Ray has a card.")
            options = self.function.options(num_cpus=1, num_gpus=cards)
            self.tasks[options.remote(json.dumps(order))] = task

    @property
    def busy(self) -> bool:
        """Whether a task has not ended."""
        return bool(self.tasks)

    def words(self, seconds: float) -> Iterator[Word]:
        """The next batch of every task that has one."""
        streams = list(self.tasks)
        if not streams:
            return
        ready: list[Any]
        ready, _ = ray.wait(streams, num_returns=len(streams), timeout=seconds)
        for stream in ready:
            task = self.tasks[stream]
            try:
                text, blobs = ray.get(next(stream), timeout=FETCH_SECONDS)
            except Exception as error:  # noqa: BLE001  Ray's many ways to say that it is over
                del self.tasks[stream]
                yield from self._over(task, error, self.hosts.pop(stream, ""))
                continue
            for said in json.loads(text):
                yield from self._said(stream, task, said, blobs)

    def _said(
        self, stream: Any, task: Task, said: dict[str, Any], blobs: Sequence[bytes]
    ) -> Iterator[Word]:
        if said["kind"] == "node":
            self.hosts[stream] = said["node"]
            for text in self.nodes.remarks(said):
                yield task, {"kind": "note", "message": text}
        elif said["kind"] == "records":
            records = ray_task.unpack(blobs[said["blob"]])
            place = self.place
            place.ledger.write_many(records, replace=place.replace, weights=place.weights)
        else:
            if said["kind"] == "failed":
                text = said.get("traceback", "")
                self.place.ledger.write_failure(said["run_ids"][0], said["message"], text)
            yield task, said

    def _over(self, task: Task, error: Exception, host: str) -> Iterator[Word]:
        """What Ray's exception means for a task."""
        if isinstance(error, StopIteration):
            yield task, Ended()
        elif isinstance(error, gone.OutOfMemoryError):
            yield task, Ended(lost="its process took too much memory and Ray ended it", memory=True)
        elif isinstance(error, gone.WorkerCrashedError):
            yield task, Ended(lost="its process ended without a word", own=self._alive(host))
        elif isinstance(error, gone.RayTaskError) and not isinstance(
            error, gone.TaskCancelledError
        ):
            line = str(error).strip().splitlines()[-1]
            message = (
                f"a node of this Ray cannot train ({line}); every node needs the same harness and "
                "torch: `pip install 'harness[ray]'` there."
            )
            yield task, {"kind": "broken", "ledger": False, "message": message}
            yield task, Ended()
        else:
            reason = " ".join(str(error).split())[:200]
            yield task, Ended(lost=f"Ray lost it ({type(error).__name__}: {reason})", own=False)

    def _alive(self, host: str) -> bool:
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        return all(one["Alive"] for one in nodes if one["NodeID"] == host)

    def stop(self) -> None:
        """Interrupt every task: those in training save and end, the others never begin."""
        for stream in self.tasks:
            ray.cancel(stream)

    def close(self) -> None:
        """End what has not ended, and Ray itself where it was started here."""
        for stream in self.tasks:
            ray.cancel(stream, force=True)
        self.tasks.clear()
        (self.place.ledger.scratch / self.probe).unlink(missing_ok=True)
        if self.own and ray.is_initialized():
            ray.shutdown()


def _resources() -> Mapping[str, float]:
    found: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _connect(place: Place) -> None:
    """Start or join Ray; ConfigError where there is none at the address."""
    address = place.cluster.ray.address
    here: dict[str, Any] = {"num_cpus": place.processes, "include_dashboard": False,
            "object_store_memory": STORE_BYTES}  # fmt: skip
    if address is None:
        place.say("starting Ray on this machine ...")
    before = signal.getsignal(signal.SIGTERM)
    _quiet()
    try:
        if address not in (None, "auto"):  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL,
            **({} if address else here),
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigError(
            f"engine.ray.address is {address or 'null'}, and no Ray answers: {reason}. Allowed: "
            "null (Ray on this machine), or the address of a cluster that this machine has joined "
            "(`ray start --head` there, `ray start --address=HOST:6379` here)."
        ) from error
    finally:  # Ray's own handler would end this process in the midst of everything
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _quiet() -> None:
    """Keep what Ray's nodes complain of from stdout, where results belong; we say it ourselves."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None
