"""Local execution: chunks handed to worker processes, their events handed to one listener.

The parent plans, the workers (see worker.py) train and write the ledger. A worker that dies is
replaced and its chunk tried again from its checkpoints; a second death halves the chunk, and a
single run that kills its worker twice is a failed run.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.plan import chunks
from harness.engine.training import device_of
from harness.records.durable import LedgerError
from harness.records.ledger import Ledger

STOP_SECONDS = 4.0  # a worker that has not stopped by then is ended; its runs resume


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a worker said. kind: progress, points, finished, failed or note."""

    kind: str
    run_id: str = ""
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""
    traceback: str = ""


@dataclass
class Task:
    """A chunk on its way: the runs (by id) still without a record, and how often it was tried."""

    number: int
    runs: dict[str, RunConfig]
    deaths: int = 0


def run_jobs(
    runs: Sequence[RunConfig], *, ledger: Ledger, on_event: Callable[[Event], None],
    stop: threading.Event, workers: int | str = "auto", checkpoint_seconds: float = 30.0,
    replace: bool = False,
) -> None:  # fmt: skip
    """Train runs in worker processes until all are done or `stop` is set.

    Returns with every record of a finished run in the ledger; after a stop the rest stand there as
    checkpoints. on_event is called in this thread alone. replace: train runs that have a record
    once more. LedgerError, with all workers stopped, once the ledger cannot be written any more.
    """
    sets = [load_data(run.data) for run in runs]
    count = os.cpu_count() or 1 if workers == "auto" else int(workers)
    places = chunks(runs, sets, workers=count)
    tasks: list[Task] = []
    for number, part in enumerate(places):
        ids = [runs[p].run_id(sets[p].sha256, device_of(runs[p])) for p in part]
        tasks.append(Task(number, dict(zip(ids, (runs[p] for p in part), strict=True))))
    tasks.sort(key=lambda t: -_work(t))
    pool = _Pool(ledger, checkpoint_seconds, replace)
    try:
        _serve(tasks, pool, on_event, stop, min(count, len(tasks)))
    finally:
        pool.close()
    if pool.broken:
        raise LedgerError(pool.broken)


def _work(task: Task) -> int:
    return sum(run.train.steps for run in task.runs.values())


def _serve(
    tasks: list[Task], pool: _Pool, on_event: Callable[[Event], None], stop: threading.Event,
    count: int,
) -> None:  # fmt: skip
    asked = False
    for _ in range(count):
        pool.start(tasks.pop(0))
    while pool.busy:
        if (stop.is_set() or pool.broken) and not asked:
            asked = True
            pool.stop()
        try:
            worker, line = pool.inbox.get(timeout=0.1)
        except queue.Empty:
            if asked and time.monotonic() > pool.deadline:
                return
            continue
        if line is None:  # the worker is gone
            task = pool.gone(worker)
            if task is not None and not asked:
                retried, lost = _retry(task, worker.process.wait())
                if lost is not None:
                    pool.ledger.write_failure(lost.run_id, lost.message, "")
                    on_event(lost)
                tasks[:0] = retried
                if tasks:
                    pool.start(tasks.pop(0))
            continue
        said: dict[str, Any] = json.loads(line)
        kind = said.pop("kind")
        if kind == "chunk":
            worker.task = None
            if tasks and not asked:
                worker.give(tasks.pop(0))
            else:
                worker.leave()
        elif kind == "broken":
            pool.broken, worker.task = said["message"], None
        elif kind != "stopped":
            if kind in ("finished", "failed") and worker.task is not None:
                worker.task.runs.pop(said["run_id"], None)
            on_event(Event(kind=kind, **said))


def _retry(task: Task, code: int) -> tuple[list[Task], Event | None]:
    """What to do with a chunk whose worker died: again, then in halves; a lone run has failed."""
    if not task.runs:
        return [], None
    if task.deaths == 0:
        return [Task(task.number, task.runs, 1)], None
    if len(task.runs) == 1:
        (run_id,) = task.runs
        message = f"its worker process ended twice without a word (exit status {code})"
        return [], Event(kind="failed", run_id=run_id, message=message)
    items = list(task.runs.items())
    half = len(items) // 2
    return [Task(task.number, dict(part), 1) for part in (items[:half], items[half:])], None


class _Worker:
    def __init__(self, pool: _Pool) -> None:
        package = str(Path(__file__).parents[2])  # ours, whatever folder the user stands in
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {
            **os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.execution.process"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, encoding="utf-8", env=env,
        )  # fmt: skip
        self.task: Task | None = None
        hello = {"ledger": str(pool.ledger.root), "checkpoint_seconds": pool.seconds}
        self.send(hello | {"replace": pool.replace})
        self.listener = threading.Thread(target=self._listen, args=(pool.inbox,), daemon=True)
        self.listener.start()

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # it is gone: its listener says so

    def give(self, task: Task) -> None:
        self.task = task
        runs = [run.nested() for run in task.runs.values()]
        self.send({"chunk": task.number, "runs": runs})

    def leave(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self) -> None:
        """Wait for it, and leave no pipe open."""
        self.process.wait()
        self.leave()
        self.listener.join()

    def _listen(self, inbox: queue.SimpleQueue[tuple[_Worker, str | None]]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            for line in out:
                if line.endswith("\n"):  # a line cut short by its writer's death says nothing
                    inbox.put((self, line))
        inbox.put((self, None))


class _Pool:
    def __init__(self, ledger: Ledger, seconds: float, replace: bool) -> None:
        self.ledger, self.seconds, self.replace = ledger, seconds, replace
        self.broken = ""  # why the ledger cannot be written
        self.inbox: queue.SimpleQueue[tuple[_Worker, str | None]] = queue.SimpleQueue()
        self.busy: list[_Worker] = []
        self.deadline = float("inf")

    def start(self, task: Task) -> None:
        worker = _Worker(self)
        self.busy.append(worker)
        worker.give(task)

    def gone(self, worker: _Worker) -> Task | None:
        self.busy.remove(worker)
        worker.end()
        return worker.task

    def stop(self) -> None:
        self.deadline = time.monotonic() + STOP_SECONDS
        for worker in self.busy:
            worker.send({"stop": True})

    def close(self) -> None:
        for worker in self.busy:
            worker.process.kill()
            worker.end()
