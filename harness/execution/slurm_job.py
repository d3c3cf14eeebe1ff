"""A part of a sweep as one Slurm job: worker processes on the job's node, their words in a file.

What is pickled is where the part is written down. A job that begins again, after its time limit or
on another node, reads it there and goes on from the ledger's records and checkpoints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.execution.interface import Event

LOOK_SECONDS = 0.5  # between looks for a request to stop
SAVE_SECONDS = 5.0  # for worker processes to save in
WRITE_SECONDS = 1.0  # between lines of mere progress


class Part:
    """What submitit carries to a job: a folder of the ledger and a number of an order in it.

    In the folder: NUMBER.json (node.order, and cores), NUMBER.words (what happened, a JSON line
    each), and stop once the driver asks for it.
    """

    def __init__(self, folder: str, number: int) -> None:
        self.folder, self.number = folder, number

    def __call__(self) -> None:
        """Train the part, to its end or until it is asked to stop."""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._train)
        self.thread.start()
        while self.thread.is_alive():
            self.thread.join(LOOK_SECONDS)
            if Path(self.folder, "stop").exists():
                self.stop.set()

    def checkpoint(self) -> Any:
        """Save, when Slurm says that time is nearly over; the same part goes on in the next job."""
        from submitit.helpers import DelayedSubmission

        self.stop.set()
        self.thread.join(SAVE_SECONDS)
        Words(self.folder, self.number).say({"kind": "requeued"})
        return DelayedSubmission(Part(self.folder, self.number))

    def _train(self) -> None:
        from harness.errors import HarnessError
        from harness.records.durable import LedgerError

        words = Words(self.folder, self.number)
        try:
            self._run(words)
        except HarnessError as error:
            told = isinstance(error, LedgerError)
            words.say({"kind": "broken", "ledger": told, "message": str(error)})
        except Exception as error:  # noqa: BLE001  a defect of ours: the driver must hear of it
            message = f"a job ended in {type(error).__name__}: {error}"
            words.say({"kind": "broken", "ledger": False, "message": message})

    def _run(self, words: Words) -> None:
        order = json.loads(Path(self.folder, f"{self.number}.json").read_text(encoding="utf-8"))
        if order["device"] != "cuda":  # `auto` means what it means to the driver
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        from harness.execution import node
        from harness.execution.interface import Place, run_jobs
        from harness.execution.local import LocalExecutor
        from harness.execution.process import read_rung
        from harness.records.ledger import Ledger

        words.say(node.about(order["device"]))
        place = Place(
            ledger=Ledger(order["ledger"]), name="", processes=order["cores"],
            checkpoint_seconds=order["checkpoint_seconds"], replace=order["replace"],
            weights=order["weights"],
            live=order["live"],
        )  # fmt: skip
        with contextlib.closing(LocalExecutor(place)) as executor:
            run_jobs(
                list(node.runs_of(order).values()), executor=executor, place=place,
                on_event=words.event, stop=self.stop, rung=read_rung(order["rung"]),
            )  # fmt: skip
        if not self.stop.is_set() or Path(self.folder, "stop").exists():
            words.say({"kind": "end"})


class Words:
    """The file of what happened, written by one job at a time."""

    def __init__(self, folder: str, number: int) -> None:
        self.path = Path(folder, f"{number}.words")
        self.spoke = 0.0

    def say(self, said: dict[str, Any]) -> None:
        """One line; a reader takes only what ends with a line's end."""
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(said) + "\n")

    def event(self, event: Event) -> None:
        """What happened to runs; of progress only so much."""
        if event.kind == "progress":
            if time.monotonic() - self.spoke < WRITE_SECONDS:
                return
            self.spoke = time.monotonic()
        self.say({k: v for k, v in dataclasses.asdict(event).items() if v})
