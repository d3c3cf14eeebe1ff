"""One worker process: JSON lines in (chunks to train), JSON lines out (what happened).

    in:   {"ledger": DIR, "checkpoint_seconds": 30}, then {"chunk": 3, "runs": [config, ...]} ...,
          {"stop": true}; end of input means that the parent is gone, and is taken as a stop
    out:  {"kind": "progress" | "points" | "finished" | "failed" | "chunk" | "stopped", ...}

A worker reads settings and writes records to the ledger; it speaks to nothing else. Text rather
than pickles, so nothing that arrives can be executed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from harness.config import RunConfig, run_config
from harness.dataset import load_data
from harness.engine import Chunk, Interrupted, State, device_of, one_thread
from harness.ledger import Ledger

Emit = Callable[[Mapping[str, Any]], None]
PROGRESS_SECONDS = 0.2


def main() -> None:
    """Serve chunks from standard input until it ends or a stop arrives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and says so in its lines
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints goes to stderr, never between the lines

    def emit(event: Mapping[str, Any]) -> None:
        try:
            print(json.dumps(event), file=out, flush=True)
        except (BrokenPipeError, ValueError):
            stop.set()

    stop, inbox = threading.Event(), queue.SimpleQueue[Mapping[str, Any] | None]()
    hello = json.loads(sys.stdin.readline())
    threading.Thread(target=_listen, args=(inbox, stop), daemon=True).start()
    ledger = Ledger(hello["ledger"])
    while not stop.is_set() and (task := inbox.get()) is not None:
        runs = [run_config(plain) for plain in task["runs"]]
        serve(runs, ledger, emit, stop.is_set, float(hello["checkpoint_seconds"]))
        emit({"kind": "chunk", "chunk": task["chunk"]})
    emit({"kind": "stopped"})


def _listen(inbox: queue.SimpleQueue[Mapping[str, Any] | None], stop: threading.Event) -> None:
    for line in sys.stdin:
        task = json.loads(line)
        if task.get("stop"):
            break
        inbox.put(task)
    stop.set()
    inbox.put(None)


def serve(
    runs: Sequence[RunConfig], ledger: Ledger, emit: Emit, stopping: Callable[[], bool],
    checkpoint_seconds: float,
) -> None:  # fmt: skip
    """Train these runs to the end, each from its checkpoint if it has one, and write records.

    Runs that stand at different steps are trained apart. Where memory does not suffice the runs
    are halved and tried again: the numbers do not depend on it. Any other error is narrowed down
    to the run it comes from, which is reported as failed; the others go on.
    """
    data = load_data(runs[0].data)
    saved = [ledger.load_checkpoint(r.run_id(data.sha256, device_of(r))) for r in runs]
    steps = {None if s is None else s["step"] for s in saved}
    if len(steps) > 1:
        for step in steps:
            part = [r for r, s in zip(runs, saved, strict=True) if (s and s["step"]) == step]
            serve(part, ledger, emit, stopping, checkpoint_seconds)
        return
    states = [s for s in saved if s is not None]
    try:
        _train(runs, ledger, emit, stopping, checkpoint_seconds, states or None)
    except Interrupted:
        return
    except Exception as error:
        out_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
            isinstance(error, RuntimeError) and "alloc" in str(error)
        )
        if len(runs) == 1:
            run_id = runs[0].run_id(data.sha256, device_of(runs[0]))
            text = "".join(traceback.format_exception(error))
            message = f"{type(error).__name__}: {error}"
            ledger.write_failure(run_id, message, text)
            emit({"kind": "failed", "run_id": run_id, "message": message, "traceback": text})
            return
        if out_of_memory:
            emit({"kind": "note", "message": f"{len(runs)} runs do not fit in memory; halving"})
        half = len(runs) // 2
        del error
        serve(runs[:half], ledger, emit, stopping, checkpoint_seconds)
        serve(runs[half:], ledger, emit, stopping, checkpoint_seconds)


def _train(
    runs: Sequence[RunConfig], ledger: Ledger, emit: Emit, stopping: Callable[[], bool],
    checkpoint_seconds: float, states: list[State] | None,
) -> None:  # fmt: skip
    data = load_data(runs[0].data)
    ids = [run.run_id(data.sha256, device_of(run)) for run in runs]
    saved_at, told_at = time.monotonic(), 0.0

    def on_points(k: int, step: int, values: Mapping[str, float]) -> None:
        if not stopping():
            emit({"kind": "points", "run_id": ids[k], "step": step, "values": dict(values)})

    def on_step(step: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= PROGRESS_SECONDS:
            told_at = time.monotonic()
            for run_id in ids:
                emit({"kind": "progress", "run_id": run_id, "step": step})

    def on_states(found: Mapping[int, State]) -> None:
        nonlocal saved_at
        for k, state in found.items():
            ledger.save_checkpoint(ids[k], state)
        saved_at = time.monotonic()

    with one_thread():
        chunk = Chunk(
            runs, data, states=states, on_points=on_points, on_step=on_step, on_states=on_states,
            wants_states=lambda: time.monotonic() - saved_at >= checkpoint_seconds,
            stopping=stopping,
        )  # fmt: skip
        records = chunk.run()
    for record in records:
        ledger.write(record)
        ledger.drop_checkpoint(record.run_id)
        emit({"kind": "finished", "run_id": record.run_id, "step": record.config.train.steps})


if __name__ == "__main__":
    main()
