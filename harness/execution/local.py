"""Chunks trained by worker processes of this machine; see process.py for their end of the pipe."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.config.run import RunConfig
from harness.execution.interface import Ended, Place, Task, Word


class LocalExecutor:
    """As many processes as `place.processes`, each with one chunk at a time."""

    def __init__(self, place: Place) -> None:
        self.place, self.cores = place, place.processes
        self.inbox: queue.SimpleQueue[tuple[_Process, str | None]] = queue.SimpleQueue()
        self.processes: list[_Process] = []

    def take_up(self, runs: Mapping[str, RunConfig]) -> list[Task]:
        """Nothing outlives the command that started it."""
        del runs
        return []

    def pack(self, tasks: list[Task]) -> list[Task]:
        """One chunk at a time is carried."""
        return tasks

    def free(self) -> int:
        """Cores without a chunk."""
        return self.cores - sum(one.task is not None for one in self.processes)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Give each task to an idle process, or to a new one."""
        for task in tasks:
            idle = next((one for one in self.processes if one.task is None and one.open), None)
            if idle is None:
                idle = _Process(self.inbox, self.place)
                self.processes.append(idle)
            idle.give(task)

    @property
    def busy(self) -> bool:
        """Whether a process has a chunk."""
        return any(one.task is not None for one in self.processes)

    def words(self, seconds: float) -> Iterator[Word]:
        """What the processes said; a process that is gone has ended its task."""
        wait = seconds
        with contextlib.suppress(queue.Empty):
            while True:
                process, line = self.inbox.get(timeout=wait) if wait else self.inbox.get_nowait()
                wait = 0.0
                yield from self._word(process, line)

    def _word(self, process: _Process, line: str | None) -> Iterator[Word]:
        task = process.task
        if line is None:
            self.processes.remove(process)
            code = process.end()
            process.task = None
            if task is not None:
                yield task, Ended(lost=f"its process ended without a word (exit status {code})")
            return
        said: dict[str, Any] = json.loads(line)
        if task is None or said["kind"] == "stopped":
            return
        if said["kind"] == "chunk":
            process.task = None
            yield task, Ended()
        else:
            yield task, said

    def stop(self) -> None:
        """Ask every process to save and to leave."""
        for process in self.processes:
            process.send({"stop": True})

    def close(self) -> None:
        """Let idle processes leave, and end those that still train."""
        for process in self.processes:
            if process.task is not None:
                process.process.kill()
            process.leave()
        for process in self.processes:
            process.end()
        self.processes.clear()


class _Process:
    """One worker process and the thread that reads what it says."""

    def __init__(self, inbox: queue.SimpleQueue[tuple[_Process, str | None]], place: Place) -> None:
        package = str(Path(__file__).parents[2])  # ours, whatever the current folder
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
        self.open = True  # to more work
        hello = {"ledger": str(place.ledger.root), "checkpoint_seconds": place.checkpoint_seconds}
        hello |= {"replace": place.replace, "weights": place.weights, "live": list(place.live)}
        self.send(hello)
        self.listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self.listener.start()

    def send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self.open = False  # it is gone: its listener says so

    def give(self, task: Task) -> None:
        self.task = task
        rung = task.rung and task.rung.plain()
        self.send({"runs": [run.nested() for run in task.runs.values()], "rung": rung})

    def leave(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self) -> int:
        """Wait for it, and leave no pipe open; its exit status."""
        code = self.process.wait()
        self.leave()
        self.listener.join()
        return code

    def _listen(self, inbox: queue.SimpleQueue[tuple[_Process, str | None]]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            for line in out:
                if line.endswith("\n"):  # a line cut short by its writer's death says nothing
                    inbox.put((self, line))
        inbox.put((self, None))
