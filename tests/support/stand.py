"""Small runs, and one executor after another that trains them into the same ledger."""

from __future__ import annotations

import threading

from harness.config.groups import Data, Engine, Model, Train
from harness.config.run import RunConfig
from harness.execution.interface import Event, Place, open_executor, run_jobs

SMALL = {"data": Data(fraction=0.02), "model": Model(n_embd=4, hidden=(8,))}


def runs_of(steps, seeds=range(4), **engine):
    return [
        RunConfig(seed=s, train=Train(steps=steps), engine=Engine(chunk=2, **engine), **SMALL)
        for s in seeds
    ]


class Stand:
    """One executor after another over the same ledger."""

    def __init__(self, ledger, name, cluster):
        self.ledger, self.name, self.cluster = ledger, name, cluster
        self.events: list[Event] = []

    def run(self, runs, *, stop=None, seconds=30.0, replace=False):
        place = Place(
            ledger=self.ledger, name="0123456789abcdef", processes=2, cluster=self.cluster,
            checkpoint_seconds=seconds, replace=replace, live=("nll/val",),
        )  # fmt: skip
        self.events = []
        run_jobs(
            runs, executor=open_executor(self.name, place), place=place,
            on_event=self.events.append, stop=stop or threading.Event(),
        )  # fmt: skip

    def ids(self, kind):
        return sorted({run for event in self.events if event.kind == kind for run in event.run_ids})

    @property
    def notes(self):
        return " ".join(event.message for event in self.events if event.kind == "note")
