"""One run or a grid, from settings to results: the same path for `train`, `sweep` and the launcher.

Everything is checked before anything is written: settings, data, ledger. Runs already finished are
not trained again, equal ones are trained once, and what happens is told to the ledger first and to
tracking second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import console, outcome
from harness.config import Data, RunConfig, build, sweep_id
from harness.durable import LedgerError
from harness.errors import ConfigError
from harness.ledger import Ledger
from harness.manifests import SweepManifest, new_single, new_sweep
from harness.progress import progress
from harness.saved import read_config
from harness.settings import Ledger as LedgerSettings
from harness.settings import Tracking
from harness.stopping import Stop, StoppedError, stop_signals

if TYPE_CHECKING:
    from harness.silent import NullTracker

WAIT_SECONDS = 5.0  # of waiting for MLflow before that is said
STOP_SECONDS = 0.8  # for tracking to end in, after workers have stopped; the ledger has the rest


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says beside the settings."""

    single: bool = False  # one run by itself, without a parent
    again: bool = False  # train a finished run once more
    dry_run: bool = False
    into: str | None = None  # an older sweep to join
    quiet: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Per job, in order: best/nll_val, or the exception that ended it; None after a dry run."""

    values: list[Any]
    sweep_id: str | None = None
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """A checked grid: `run_ids` a job in order (equal ones repeat), `runs` by id, each once."""

    run_ids: tuple[str, ...]
    runs: Mapping[str, RunConfig]
    checksums: Mapping[Data, str]
    tracking: Tracking
    ledger: LedgerSettings


def run_jobs_of(
    configs: Sequence[Mapping[str, Any]], *, options: Options, overrides: Sequence[str] = ()
) -> Outcome:
    """Train the runs that these plain composed configs describe; ConfigError before any begins.

    Raises StoppedError after SIGINT or SIGTERM, once what was finished is safe.
    """
    jobs = check_jobs(configs)
    if options.dry_run:
        from harness import dry_run

        dry_run.show(
            jobs.runs, Ledger(jobs.ledger.dir), workers=_workers(jobs),
            tracked=jobs.tracking.name != "off",
        )  # fmt: skip
        return Outcome(values=[None] * len(configs))
    ledger = Ledger(jobs.ledger.dir)
    ledger.prepare()
    with ledger.lock_sweep(_sweep_id(jobs, options, ledger)):
        fresh = _manifest(jobs, options, overrides, ledger)
        manifest = ledger.write_sweep(fresh, replace=options.into is not None)
        failed = _train(jobs, options, manifest, ledger)
        rows = outcome.rows_of(ledger, jobs.runs)
        if jobs.ledger.weights == "best" and not options.single:
            for run_id in rows.keys() - {outcome.best_of(rows)}:
                ledger.drop_weights(run_id)
    outcome.tell(rows, failed, manifest, single=options.single)
    values = [outcome.value_of(run_id, rows, failed) for run_id in jobs.run_ids]
    joined = None if options.single else manifest.sweep_id
    return Outcome(values=values, sweep_id=joined, exit_code=1 if failed else 0)


def check_jobs(configs: Sequence[Mapping[str, Any]]) -> Jobs:
    """Settings and data of every job; nothing is written. ConfigError or DataError if wrong."""
    from harness.dataset import load_data

    surroundings, runs = set(), []
    for config in configs:
        tracking = build(Tracking, "tracking.", config.get("tracking") or {})
        kept = build(LedgerSettings, "ledger.", config.get("ledger") or {})
        surroundings.add((tracking, kept))
        runs.append(read_config(config))
    if len(surroundings) > 1:
        raise ConfigError(
            "tracking.* or ledger.* differ between the runs of one sweep; allowed: one value each. "
            "Start a sweep for each."
        )
    sources = dict.fromkeys(run.data for run in runs)
    checksums = {data: load_data(data).sha256 for data in sources}
    from harness.engine import device_of  # torch: loaded once all else is known to be right

    _check_machine(runs)
    ids = tuple(run.run_id(checksums[run.data], device_of(run)) for run in runs)
    tracking, kept = surroundings.pop()
    return Jobs(
        run_ids=ids, runs=dict(zip(ids, runs, strict=True)), checksums=checksums,
        tracking=tracking, ledger=kept,
    )  # fmt: skip


def _check_machine(runs: Sequence[RunConfig]) -> None:
    import torch

    if any(run.engine.device == "cuda" for run in runs) and not torch.cuda.is_available():
        raise ConfigError(
            "engine.device is 'cuda', but torch finds no CUDA card here; allowed here: auto, cpu. "
            "A card needs its driver and torch's CUDA build: make setup TORCH=cuda."
        )
    for run in runs:
        if run.engine.executor != "local":
            raise ConfigError(
                f"engine.executor is '{run.engine.executor}', which this version does not have; "
                "allowed: local."
            )


def _sweep_id(jobs: Jobs, options: Options, ledger: Ledger) -> str:
    if options.single:
        return jobs.run_ids[0]
    if options.into is not None:
        return ledger.read_sweep(options.into).sweep_id
    return sweep_id(jobs.run_ids)


def _manifest(
    jobs: Jobs, options: Options, overrides: Sequence[str], ledger: Ledger
) -> SweepManifest:
    shown = tuple(text for text in overrides if not text.startswith("hydra"))
    told = {"experiment": jobs.tracking.experiment, "weights": jobs.tracking.weights}
    if options.single:
        run_id, run = next(iter(jobs.runs.items()))
        return new_single(run_id, run, overrides=shown, tracking=told)
    fresh = new_sweep(jobs.runs, overrides=shown, tracking=told)
    if options.into is None:
        return fresh
    return ledger.read_sweep(options.into).joined(fresh)


def _train(jobs: Jobs, options: Options, manifest: SweepManifest, ledger: Ledger) -> dict[str, str]:
    """Train what is not finished, telling ledger and tracking; run_id -> message of failed runs."""
    from harness.tracking import open_tracking

    finished = set() if options.again else ledger.finished(jobs.runs, verify=True)
    todo = {run_id: run for run_id, run in jobs.runs.items() if run_id not in finished}
    if finished:
        what = "this run is" if options.single else f"{len(finished)} of {len(jobs.runs)} runs are"
        hint = "; --again trains it once more" if options.single else ""
        console.say(f"{what} finished already{hint}.")
        if options.single:
            return {}
    tracker = open_tracking(jobs.tracking, ledger)
    with stop_signals() as stop:
        tracker.open_sweep(manifest)
        for run_id in finished:  # complete under this parent too, without training
            tracker.finished(run_id)
        try:
            failed = _run_all(todo, jobs, options, ledger, tracker, stop.event) if todo else {}
        except LedgerError:
            tracker.close("KILLED", STOP_SECONDS)
            raise
        _close(tracker, stop)
        if stop.signum:
            raise StoppedError(stop.signum)
    return failed


def _close(tracker: NullTracker, stop: Stop) -> None:
    if stop.signum:
        tracker.close("KILLED", STOP_SECONDS)
        return
    note = threading.Timer(
        WAIT_SECONDS, console.say,
        ["writing the last runs to MLflow; Ctrl-C leaves them to `harness sync`."],
    )  # fmt: skip
    note.daemon = True
    note.start()
    try:
        tracker.close(stopping=stop.event.is_set)
    finally:
        note.cancel()


def _run_all(
    todo: Mapping[str, RunConfig], jobs: Jobs, options: Options, ledger: Ledger,
    tracker: NullTracker, stop: threading.Event,
) -> dict[str, str]:  # fmt: skip
    from harness.workers import Event, run_jobs

    failed: dict[str, str] = {}
    steps = {run_id: run.train.steps for run_id, run in todo.items()}
    losses = {run_id: run.loss.name for run_id, run in todo.items()}
    with progress(steps, losses, quiet=options.quiet) as meter:

        def on_event(event: Event) -> None:
            if event.kind == "note":
                console.say(event.message)
                return
            if event.kind in ("finished", "failed"):
                meter.ended(event.run_id)
            else:
                meter.step(event.run_id, event.step)
            if event.kind == "points":
                meter.points(event.run_id, event.step, event.values)
                tracker.points(event)
            elif event.kind == "finished":
                tracker.finished(event.run_id)  # read back from the ledger: what is kept is shown
            elif event.kind == "failed":
                failed[event.run_id] = event.message
                tracker.failed(event.run_id, event.message)

        run_jobs(
            list(todo.values()), ledger=ledger, on_event=on_event, stop=stop,
            workers=1 if options.single else next(iter(todo.values())).engine.workers,
            checkpoint_seconds=jobs.ledger.checkpoint_seconds, replace=options.again,
        )  # fmt: skip
    return failed


def _workers(jobs: Jobs) -> int:
    asked = next(iter(jobs.runs.values())).engine.workers
    return asked if isinstance(asked, int) else len(os.sched_getaffinity(0))
