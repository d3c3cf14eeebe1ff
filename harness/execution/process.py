"""One worker process: JSON lines in (chunks to train), JSON lines out (what happened).

    in:   {"ledger": DIR, "checkpoint_seconds": 30, "replace": false, "weights": true,
           "live": [metric, ...]}, then {"runs": [config, ...], "rung": null | [factor, i]} ...,
          then {"stop": true}; end of input means that the parent is gone, and is taken as a stop
    out:  {"kind": "progress", "run_ids": [...], "step": n}
          {"kind": "evaluation", "run_ids": [...], "step": n, "values": {metric: [value a run]}}
          {"kind": "finished" | "paused", "run_ids": [...]}
          {"kind": "failed", "run_ids": [one], "message": ..., "traceback": ...}
          {"kind": "spent", "values": {"training" | "evaluation" | "bookkeeping": [seconds]}}
          {"kind": "note" | "broken", "message": ...}, {"kind": "chunk"}, {"kind": "stopped"}

A line covers all runs that are trained together, so that a thousand small runs cost dozens of
lines. A worker reads settings and writes records to the ledger; it talks to nothing else. Text
rather than pickles, so nothing that arrives can be executed.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from harness.config.run import Known, RunConfig, run_config
from harness.data.dataset import load_data
from harness.engine.chunk import Chunk, Hooks, Interrupted, Paused, State
from harness.engine.device import device_of, one_thread
from harness.engine.kernel import bits_of
from harness.execution.rungs import Rung
from harness.records.durable import LedgerError
from harness.records.ledger import Ledger
from harness.records.record import RunRecord

Emit = Callable[[Mapping[str, Any]], None]
PROGRESS_SECONDS = 0.2


def main() -> None:
    """Serve chunks from standard input until it ends or a stop arrives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and sends a line
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm's word to the job that its time is over
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # anything printed goes to stderr, never between the lines

    def emit(event: Mapping[str, Any]) -> None:
        try:
            print(json.dumps(event), file=out, flush=True)
        except (BrokenPipeError, ValueError):
            stop.set()

    stop, inbox = threading.Event(), queue.SimpleQueue[Mapping[str, Any] | None]()
    hello = json.loads(sys.stdin.readline())
    threading.Thread(target=_listen, args=(inbox, stop), daemon=True).start()
    work = Work(
        ledger=Ledger(hello["ledger"]), emit=emit, stopping=stop.is_set,
        checkpoint_seconds=float(hello["checkpoint_seconds"]), replace=bool(hello["replace"]),
        weights=bool(hello["weights"]), live=tuple(hello["live"]),
    )  # fmt: skip
    try:
        while not stop.is_set() and (task := inbox.get()) is not None:
            known: Known = {}
            runs = [run_config(plain, known) for plain in task["runs"]]
            serve(runs, work, read_rung(task["rung"]))
            emit({"kind": "chunk"})
    except LedgerError as error:  # no run's fault, and no other run would fare better
        emit({"kind": "broken", "message": str(error)})
    emit({"kind": "stopped"})


class Keeper(Protocol):
    """What of a ledger a chunk needs; where there is none to be seen, ray_task.Sent."""

    def finished(self, run_ids: Iterable[str], *, verify: bool = False) -> set[str]:
        """Those of these runs that have a record, with `verify` a whole one."""

    def write_many(
        self, records: Sequence[RunRecord], *, replace: bool = False, weights: bool = True
    ) -> set[str]:
        """Keep runs that ended together."""

    def load_checkpoint(self, run_id: str) -> dict[str, Any] | None:
        """The state of an unfinished run."""

    def save_checkpoint(self, run_id: str, state: Mapping[str, Any]) -> None:
        """Keep it."""

    def write_failure(self, run_id: str, message: str, traceback: str = "") -> None:
        """Keep why a run failed."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What holds for all chunks of a worker.

    replace: train finished runs once more. weights: keep them with the records. live: the metrics
    whose values are reported while training goes on.
    """

    ledger: Keeper
    emit: Emit
    stopping: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 30.0
    replace: bool = False
    weights: bool = True
    live: Sequence[str] = ()
    spent: dict[str, float] = field(default_factory=dict)  # seconds of the chunk being served

    def state(self, run_id: str, run: RunConfig) -> State | None:
        """The state of an unfinished run; None where it begins at step 0.

        A state saved on another kind of machine is left: no run is half of one, half of another.
        """
        state = self.ledger.load_checkpoint(run_id)
        if state is not None and state["meta"].get("same_bits") != bits_of(run):
            message = f"run {run_id} begins anew: its checkpoint is another machine's, or torch's"
            self.emit({"kind": "note", "message": message})
            return None
        return state


def _listen(inbox: queue.SimpleQueue[Mapping[str, Any] | None], stop: threading.Event) -> None:
    for line in sys.stdin:
        task = json.loads(line)
        if task.get("stop"):
            break
        inbox.put(task)
    stop.set()
    inbox.put(None)


def read_rung(plain: Sequence[int] | None) -> Rung | None:
    """A rung from a message."""
    return None if plain is None else Rung(*plain)


def serve(runs: Sequence[RunConfig], work: Work, rung: Rung | None = None) -> None:
    """Train these runs to the end, each from its checkpoint if it has one, and write records.

    With a rung they pause at its step, as checkpoints; those that are there or beyond do nothing.

    Runs that are at different steps are trained apart. Where memory does not suffice the runs
    are halved and tried again: the numbers do not depend on it. Any other error is narrowed down
    to the run it comes from, which is reported as failed; the others go on. LedgerError where the
    ledger cannot be written. Where the time went is reported at the end.
    """
    began = time.perf_counter()
    work.spent.update(training=0.0, evaluation=0.0)
    try:
        _serve_all(runs, work, rung)
    finally:
        rest = time.perf_counter() - began - sum(work.spent.values())
        seconds = {name: [value] for name, value in (*work.spent.items(), ("bookkeeping", rest))}
        work.emit({"kind": "spent", "values": seconds})


def _serve_all(runs: Sequence[RunConfig], work: Work, rung: Rung | None) -> None:
    data = load_data(runs[0].data)
    groups: dict[int | None, dict[str, tuple[RunConfig, State | None]]] = {}
    ids = [run.run_id(data.sha256, device_of(run)) for run in runs]
    # written by a worker that died before it could report them
    written = set() if work.replace else work.ledger.finished(ids, verify=True)
    there = []
    for run_id, run in zip(ids, runs, strict=True):
        if run_id in written:
            continue
        state = work.state(run_id, run)
        at = None if state is None else int(state["step"])
        if rung is not None and at is not None and at >= (rung.step(run) or math.inf):
            there.append(run_id)
        else:
            groups.setdefault(at, {})[run_id] = run, state
    if written:
        work.emit({"kind": "finished", "run_ids": sorted(written)})
    if there:
        work.emit({"kind": "paused", "run_ids": there})
    for group in groups.values():
        if work.stopping():
            return
        _serve(group, work, rung)


def _serve(
    group: Mapping[str, tuple[RunConfig, State | None]], work: Work, rung: Rung | None
) -> None:
    try:
        _train(group, work, rung)
        return
    except Paused:
        work.emit({"kind": "paused", "run_ids": list(group)})
        return
    except Interrupted:
        return
    except LedgerError:
        raise
    except Exception as error:  # noqa: BLE001  any failure belongs to one run; report it
        if len(group) == 1:
            (run_id,) = group
            text = "".join(traceback.format_exception(error))
            message = f"{type(error).__name__}: {error}"
            work.ledger.write_failure(run_id, message, text)
            event = {"kind": "failed", "run_ids": [run_id], "message": message, "traceback": text}
            work.emit(event)
            return
        if _out_of_memory(error):
            message = f"{len(group)} runs do not fit in memory together; going on with halves"
            work.emit({"kind": "note", "message": message})
    items = list(group.items())  # outside of the handler: the failed stack's memory is free again
    half = len(items) // 2
    for part in (items[:half], items[half:]):
        _serve_all([run for _, (run, _) in part], work, rung)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "alloc" in str(error)
    )


def _train(
    group: Mapping[str, tuple[RunConfig, State | None]], work: Work, rung: Rung | None
) -> None:
    ids, runs = list(group), [run for run, _ in group.values()]
    states = [state for _, state in group.values() if state is not None]
    data, ledger = load_data(runs[0].data), work.ledger
    saved_at, told_at, warned = time.monotonic(), 0.0, False

    def on_evaluation(step: int, found: Mapping[int, Mapping[str, float]]) -> None:
        if work.live and not work.stopping():
            names = [name for name in work.live if any(name in own for own in found.values())]
            values = {name: [own.get(name, math.nan) for own in found.values()] for name in names}
            seen = {"run_ids": [ids[k] for k in found], "step": step, "values": values}
            work.emit({"kind": "evaluation", **seen})

    def on_step(step: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= PROGRESS_SECONDS:
            told_at = time.monotonic()
            work.emit({"kind": "progress", "run_ids": ids, "step": step})

    def on_states(found: Mapping[int, State]) -> None:
        nonlocal saved_at, warned
        saved_at = time.monotonic()
        try:
            for k, state in found.items():
                state["meta"]["same_bits"] = bits_of(runs[k])
                ledger.save_checkpoint(ids[k], state)
        except LedgerError as error:  # an older checkpoint, or none, costs time alone
            if not warned:
                warned = True
                work.emit({"kind": "note", "message": f"{error} Training goes on."})

    began = time.perf_counter()
    with one_thread():
        hooks = Hooks(
            on_evaluation=on_evaluation, on_step=on_step, on_states=on_states,
            wants_states=lambda: time.monotonic() - saved_at >= work.checkpoint_seconds,
            stopping=work.stopping, pause_at=None if rung is None else rung.step(runs[0]),
        )  # fmt: skip
        chunk = Chunk(runs, data, states=states or None, hooks=hooks)
        try:
            records = chunk.run()
        finally:
            work.spent["evaluation"] += chunk.evaluating
            work.spent["training"] += time.perf_counter() - began - chunk.evaluating
    ledger.write_many(records, replace=work.replace, weights=work.weights)
    work.emit({"kind": "finished", "run_ids": ids})


if __name__ == "__main__":
    main()
    os._exit(0)  # all output is flushed; skip torch's slow teardown
