"""Where chunks of runs are trained, and all that does not depend on where.

`run_jobs` cuts runs into chunks, hands them to an `Executor` and listens: a chunk whose process,
node or job is lost is tried again from its checkpoints, then in halves, and a single run that is
lost twice has failed. An executor only carries chunks there and words back. To add one: a module
with a class that keeps the protocol, and its line in `EXECUTORS`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.config.run import RunConfig
from harness.config.settings import Cluster
from harness.data.dataset import load_data
from harness.engine.device import device_of
from harness.engine.plan import chunks
from harness.errors import ConfigError, HarnessError, nearest, shown
from harness.execution.rungs import Rung
from harness.records.durable import LedgerError
from harness.records.ledger import Ledger

STOP_SECONDS = 4.0  # what has not stopped by then is ended; its runs resume
MOST_LOSSES = 50  # times a chunk may lose its node through no fault of its own

EXECUTORS = {  # engine.executor -> the class that carries chunks there, the package it needs
    "local": ("harness.execution.local:LocalExecutor", ""),
    "slurm": ("harness.execution.slurm:SlurmExecutor", "submitit"),
    "ray": ("harness.execution.ray_cluster:RayExecutor", "ray"),
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened to runs. kind: progress, evaluation, finished, paused, failed; of no run: note,
    spent.

    run_ids: whom it concerns, one where it failed; values: of an evaluation, metric -> a value a
    run; of spent, training, evaluation, bookkeeping -> [seconds of a process].
    """

    kind: str
    run_ids: Sequence[str] = ()
    step: int = 0
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    message: str = ""
    traceback: str = ""


@dataclass(eq=False)
class Task:
    """A chunk on its way: the runs (by id) still without a record, and how often it was lost.

    deaths: times its own process ended; losses: times its node or job went away. rung: where its
    runs pause; None: they are trained to their end.
    """

    runs: dict[str, RunConfig]
    deaths: int = 0
    losses: int = 0
    rung: Rung | None = None

    @property
    def work(self) -> int:
        """Run-steps, as if none were done yet."""
        return sum(run.train.steps for run in self.runs.values())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """No more will be heard of a task.

    lost: why it ended before its runs did, "" where it came to its end. own: the chunk itself may
    have brought its process down, so that its halves are tried; otherwise its node or job went
    away. memory: it was ended for taking too much memory.
    """

    lost: str = ""
    own: bool = True
    memory: bool = False


Word = tuple[Task, Mapping[str, Any] | Ended]  # an event's plain values (process.py), or an end


@dataclass(frozen=True, kw_only=True)
class Place:
    """What every executor needs to know. name: of the sweep; processes: of this machine, at most.

    replace: train runs that have a record once more. weights: keep them with the records. live:
    metrics whose values are reported at every evaluation. say: for notes that belong to no chunk.
    """

    ledger: Ledger
    name: str
    processes: int
    checkpoint_seconds: float = 30.0
    replace: bool = False
    weights: bool = True
    live: Sequence[str] = ()
    cluster: Cluster = field(default_factory=Cluster)
    say: Callable[[str], None] = lambda _: None


class Executor(Protocol):
    """Carries chunks to where they are trained. One thread calls all methods.

    Whoever trains a chunk calls `process.serve`, which writes records and failures; an executor
    that cannot reach the ledger from there writes them before it passes "finished" on. Runs that
    have a record already are not trained again, so that a task may safely be carried twice.
    """

    @property
    def cores(self) -> int:
        """Chunks that can be trained at once, as far as is known now; at least 1."""

    def take_up(self, runs: Mapping[str, RunConfig]) -> list[Task]:
        """Tasks for these runs that an earlier command left under way, to be listened to."""

    def pack(self, tasks: list[Task]) -> list[Task]:
        """The same runs in tasks of the size that is carried at a time."""

    def free(self) -> int:
        """How many more tasks it takes now."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """Carry these tasks to where they are trained."""

    @property
    def busy(self) -> bool:
        """Whether a task was submitted or taken up whose end has not been heard."""

    def words(self, seconds: float) -> Iterable[Word]:
        """The messages since the last call; waits so long for a first one."""

    def stop(self) -> None:
        """Ask all tasks to save their state and to end."""

    def close(self) -> None:
        """End what has not ended, and let go of everything."""


def check_executor(name: str) -> None:
    """ConfigError where there is no executor of this name, or the package it needs is missing."""
    if name not in EXECUTORS:
        raise ConfigError(
            f"engine.executor is {shown(name)}; allowed: one of {', '.join(EXECUTORS)}."
            f"{nearest(name, EXECUTORS)}"
        )
    package = EXECUTORS[name][1]
    if package and importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"engine.executor is '{name}', which needs the package {package}; install it with "
            f"`pip install 'harness[{name}]'`. Allowed without it: local."
        )


def open_executor(name: str, place: Place) -> Executor:
    """The executor of this name, ready for chunks; ConfigError as check_executor."""
    check_executor(name)
    module, _, kind = EXECUTORS[name][0].partition(":")
    executor: Executor = getattr(importlib.import_module(module), kind)(place)
    return executor


def run_jobs(
    runs: Sequence[RunConfig], *, executor: Executor, place: Place,
    on_event: Callable[[Event], None], stop: threading.Event, rung: Rung | None = None,
) -> None:  # fmt: skip
    """Train runs on an executor until all are done or `stop` is set; then closes the executor.

    With a rung they pause there, as checkpoints, and the executor stays open for what follows.

    Returns with every record of a finished run in the ledger; after a stop the rest are there as
    checkpoints. on_event is called in this thread alone. LedgerError, with everything stopped,
    once the ledger cannot be written any more; HarnessError where no run can be trained there.
    """
    over = True
    try:
        waiting, heard = _plan(runs, executor, rung), _Heard(place.ledger, on_event)
        deadline = float("inf")
        while executor.busy or (waiting and not heard.asked):
            if (stop.is_set() or heard.broken) and not heard.asked:
                heard.asked, deadline = True, time.monotonic() + STOP_SECONDS
                executor.stop()
            if time.monotonic() > deadline:
                break
            if not heard.asked and waiting and (room := executor.free()) > 0:
                executor.submit(waiting[:room])
                waiting = waiting[room:]
            for task, word in executor.words(0.1):
                waiting[:0] = heard.take(task, word)
        over = rung is None or heard.asked
    finally:
        if over:
            executor.close()
    if heard.broken is not None:
        raise heard.broken


def _plan(runs: Sequence[RunConfig], executor: Executor, rung: Rung | None) -> list[Task]:
    """Chunks of the runs that are not under way already, the longest first."""
    sets = [load_data(run.data) for run in runs]
    ids = [run.run_id(d.sha256, device_of(run)) for run, d in zip(runs, sets, strict=True)]
    by_id = dict(zip(ids, runs, strict=True))
    under_way = {run_id for task in executor.take_up(by_id) for run_id in task.runs}
    left = [place for place, run_id in enumerate(ids) if run_id not in under_way]
    parts = chunks([runs[p] for p in left], [sets[p] for p in left], workers=executor.cores)
    tasks = [Task({ids[left[p]]: runs[left[p]] for p in part}, rung=rung) for part in parts]
    return executor.pack(sorted(tasks, key=lambda task: -task.work))


class _Heard:
    """What becomes of the words of tasks."""

    def __init__(self, ledger: Ledger, on_event: Callable[[Event], None]) -> None:
        self.ledger, self.on_event = ledger, on_event
        self.broken: HarnessError | None = None
        self.asked = False  # to stop

    def take(self, task: Task, word: Mapping[str, Any] | Ended) -> list[Task]:
        """Pass an event on; the tasks to be tried again after an end that came too early."""
        if isinstance(word, Ended):
            return self._ended(task, word)
        said = dict(word)
        kind = said.pop("kind")
        if kind == "broken":  # no run's fault, and no other run would fare better
            told = LedgerError if said.get("ledger", True) else HarnessError
            self.broken = self.broken or told(said["message"])
        else:
            if kind in ("finished", "paused", "failed"):
                for run_id in said["run_ids"]:
                    task.runs.pop(run_id, None)
            self.on_event(Event(kind=kind, **said))
        return []

    def _ended(self, task: Task, end: Ended) -> list[Task]:
        if self.asked or self.broken or not task.runs:
            return []
        again, failed = retry(task, end)
        if failed is not None:
            self.ledger.write_failure(failed.run_ids[0], failed.message, "")
            self.on_event(failed)
        return again


def retry(task: Task, end: Ended) -> tuple[list[Task], Event | None]:
    """What to do with a lost chunk: again, then in halves; a lone run has failed.

    A chunk whose node or job went away is simply carried anew.
    """
    reason = end.lost or "its task ended and left it undone"  # no executor should end so
    own = end.own or task.losses >= MOST_LOSSES
    if not own:
        return [dataclasses.replace(task, losses=task.losses + 1)], None
    if task.deaths == 0 and not (end.memory and len(task.runs) > 1):
        return [dataclasses.replace(task, deaths=1)], None
    if len(task.runs) == 1:
        (run_id,) = task.runs
        return [], Event(kind="failed", run_ids=(run_id,), message=f"failed twice: {reason}")
    items = list(task.runs.items())
    half = len(items) // 2
    deaths = 0 if end.memory else 1
    halves = (items[:half], items[half:])
    return [dataclasses.replace(task, runs=dict(part), deaths=deaths) for part in halves], None
