"""What a sweep would do and cost, without doing it: jobs, programs, time, disk, MLflow points."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.components.metrics import having
from harness.config.run import RunConfig
from harness.config.settings import Ledger as LedgerSettings
from harness.data.dataset import Dataset, load_data
from harness.engine import cost as footprint
from harness.engine.chunk import Chunk
from harness.engine.device import one_thread
from harness.engine.plan import chunks, group_key
from harness.records.ledger import Ledger
from harness.records.manifests import run_names
from harness.render import console

TIMED_SECONDS = 0.4  # how long each group is tried out to estimate its speed
FINAL_METRICS = 40  # other final values a run
POINT_BYTES = 250  # of mlflow.db a point, indexes included
POINT_SECONDS = 0.0002  # to write one, in batches


@dataclass(frozen=True, kw_only=True)
class Cost:
    """An estimate: seconds of wall time with `workers` processes, bytes on disk, MLflow points.

    weights: the bytes among them that are the runs' weights; best: those of one run.
    """

    seconds: float
    bytes: int
    weights: int
    best: int
    points: int


def show(
    runs: Mapping[str, RunConfig], settings: LedgerSettings, *, workers: int, tracked: bool,
    again: bool, shape: Sequence[str] = (),
) -> None:  # fmt: skip
    """Print every job, how they are fused, and what training the unfinished ones would cost.

    settings: of the ledger. again: finished runs are trained once more. shape: lines that say how
    the grid was made and thinned.
    """
    names = run_names(runs)
    finished, keep = Ledger(settings.dir).finished(runs), settings.weights
    for run_id in runs:
        print(f"{run_id}  {'finished  ' if run_id in finished else ''}{names[run_id]}")
    todo = [run for run_id, run in runs.items() if again or run_id not in finished]
    data = [load_data(run.data) for run in todo]
    groups = chunks(todo, data, workers=workers)
    shapes = len({group_key(run) for run in todo})
    most = max(map(len, groups), default=0)
    cost = estimate(todo, data, groups, workers=workers, tracked=tracked)
    told = " and trained once more" if again and finished else ""
    disk = f"about {(cost.bytes - cost.weights * (keep == 'none')) / 1e6:.0f} MB"
    if keep == "best" and cost.weights > cost.best:
        left = cost.bytes - cost.weights + cost.best
        disk += f", {left / 1e6:.0f} MB once only the best weights are kept"
    rows = [
        ("runs", f"{len(runs)}, of which {len(finished)} are finished{told}"),
        ("fused programs", f"{len(groups)}, up to {most} runs each; distinct shapes: {shapes}"),
        ("time", f"about {console.duration(cost.seconds)} with {workers} processes"),
        ("disk", disk),
        ("MLflow points", f"about {cost.points:,}" if tracked else "none (tracking=off)"),
    ]  # fmt: skip
    print()
    for line in shape:
        print(line)
    for title, text in rows:
        print(f"{title:<15} {text}")
    print("\nNothing was trained or written.")


def estimate(
    runs: Sequence[RunConfig], data: Sequence[Dataset], groups: Sequence[Sequence[int]],
    *, workers: int, tracked: bool,
) -> Cost:  # fmt: skip
    """Time from a short trial of one chunk of each shape; disk and points from counting."""
    tried: dict[object, tuple[float, float]] = {}
    core_seconds, size, points = 0.0, 0, 0
    weights: list[int] = []
    for places in groups:
        run, d = runs[places[0]], data[places[0]]
        key = (group_key(run), len(places))
        if key not in tried:
            tried[key] = _trial([runs[p] for p in places], d)
        a_step, a_look = tried[key]
        looks = footprint.looks(run)
        core_seconds += run.train.steps * a_step + looks * a_look
        size += len(places) * footprint.disk_bytes(run, d)
        weights += len(places) * [footprint.weight_bytes(run, d)]
        points += len(places) * (len(having(live=True)) * looks + FINAL_METRICS)
    seconds = core_seconds / max(1, min(workers, len(groups)))
    if tracked:
        seconds = max(seconds, points * POINT_SECONDS)  # written while training goes on
        size += points * POINT_BYTES
    return Cost(
        seconds=seconds, bytes=size, weights=sum(weights), best=max(weights, default=0),
        points=points if tracked else 0,
    )  # fmt: skip


def _trial(runs: Sequence[RunConfig], data: Dataset) -> tuple[float, float]:
    """Seconds of one step and of one evaluation of these runs, stacked, on one core."""
    with one_thread():
        chunk = Chunk(runs, data)
        steps, places = chunk.backend, range(len(runs))
        first = stop = steps.stretch(0)
        steps.train(0, stop, places)  # the first call also sets things up
        began, at = time.perf_counter(), stop
        while time.perf_counter() - began < TIMED_SECONDS:
            stop = at + steps.stretch(at)
            steps.train(at, stop, places)
            at = stop
        a_step = (time.perf_counter() - began) / (at - first)
        trained = time.perf_counter()
        chunk.evaluator.evaluate(places)
        return a_step, time.perf_counter() - trained
