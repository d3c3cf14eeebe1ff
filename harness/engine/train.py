"""The library's entry: runs of any shapes in, their records out, trained in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from harness.config.foreign import check_trainable
from harness.config.run import RunConfig
from harness.data.dataset import Dataset, load_data
from harness.engine.chunk import Chunk, Hooks
from harness.engine.cost import check_memory
from harness.engine.device import device_of, one_thread
from harness.engine.plan import chunks
from harness.errors import ConfigError
from harness.records.record import RunRecord

if TYPE_CHECKING:
    from harness.records.ledger import Ledger


class Listener(Protocol):
    """Hears of every run as it finishes; trackers are such listeners."""

    def finished(self, record: RunRecord) -> None:
        """A run has ended, and this is its record."""


def train(
    runs: Sequence[RunConfig], *, data: Dataset | None = None,
    progress: Callable[[int, int], None] | None = None, ledger: Ledger | None = None,
    tracking: Listener | None = None,
) -> list[RunRecord]:  # fmt: skip
    """Train runs in this process and return their records in the order given.

    Runs of one shape are trained together (see plan.chunks); equal runs are trained once. Nothing
    is written unless a ledger or a tracker is given: with a ledger finished runs are read back
    instead of trained again. `data` serves every run when given, otherwise each run's own settings
    are loaded. progress(done, total) counts run-steps. ConfigError on unusable settings.
    """
    if isinstance(runs, RunConfig):
        raise ConfigError("runs is one RunConfig; allowed: a list of them, as in train([run]).")
    runs = list(runs)
    check_trainable(runs)
    sets = [data if data is not None else load_data(run.data) for run in runs]
    ids = [run.run_id(d.sha256, device_of(run)) for run, d in zip(runs, sets, strict=True)]
    records: dict[str, RunRecord] = {}
    if ledger is not None:
        records = ledger.read_many(ids)
    todo = {i: (run, d) for i, run, d in zip(ids, runs, sets, strict=True) if i not in records}
    if todo:
        check_memory(
            [run for run, _ in todo.values()], {run.data: d for run, d in todo.values()},
            device_of(runs[0]),
        )  # fmt: skip
    total, done = sum(run.train.steps for run, _ in todo.values()), 0
    for places in chunks([run for run, _ in todo.values()], [d for _, d in todo.values()]):
        names = [list(todo)[place] for place in places]
        part = [todo[name][0] for name in names]

        def report(step: int, part: Sequence[RunConfig] = part, before: int = done) -> None:
            if progress is not None:
                progress(before + step * len(part), total)

        with one_thread():
            finished = Chunk(part, todo[names[0]][1], hooks=Hooks(on_step=report)).run()
        done += sum(run.train.steps for run in part)
        report(0, (), done)
        if ledger is not None:
            ledger.write_many(finished)
        for name, record in zip(names, finished, strict=True):
            records[name] = record
            if tracking is not None:
                tracking.finished(record)
    return [records[i] for i in ids]
