"""One run or a grid, from settings to results: the same path for `train`, `sweep` and the launcher.

Everything is checked before anything is written: settings, data, ledger. Runs already finished are
not trained again, equal ones are trained once, and what happens is told to the ledger first and to
tracking second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.cli import outcome
from harness.cli.ends import End, what_was_dropped
from harness.cli.grid import Drawn
from harness.cli.halving import halve
from harness.cli.jobs import Jobs, check_jobs, check_room, configurations, live, workers
from harness.cli.launch import Launch
from harness.cli.progress import WATCHED, progress
from harness.cli.stopping import Stop, StoppedError, stop_signals
from harness.config.ids import sweep_id
from harness.config.run import RunConfig
from harness.errors import HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest, new_single, new_sweep
from harness.records.record import Evaluation
from harness.render import console
from harness.tracking.addresses import redacted

if TYPE_CHECKING:
    from harness.execution.interface import Executor, Place
    from harness.execution.rungs import Rung
    from harness.tracking.interface import NullTracker, Report

WAIT_SECONDS = 5.0  # of waiting for MLflow before that is said
# for tracking to end in, after workers have stopped; the ledger has the rest. All within 5 s
STOP_SECONDS, STOPPED_BY = 0.8, 3.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says beside the settings."""

    single: bool = False  # one run by itself, without a parent
    again: bool = False  # train a finished run once more
    dry_run: bool = False
    into: str | None = None  # an older sweep to join
    quiet: bool = False
    part: bool = False  # of a larger whole, which reports its own end
    confirms: Mapping[str, Any] = field(default_factory=dict)  # see SweepManifest
    drawn: Drawn | None = None  # the shape of the grid that these runs are points of
    began: float | None = None  # time.monotonic() of the command's start


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Per job, in order: the yardstick, or the exception that ended it; 0 after a dry run."""

    values: list[Any]
    sweep_id: str | None = None
    exit_code: int = 0
    run_ids: tuple[str, ...] = ()  # per job, in order
    end: End | None = None  # of a part: what is left to report


def run_jobs_of(
    configs: Sequence[Mapping[str, Any]], *, options: Options, overrides: Sequence[str] = ()
) -> Outcome:
    """Train the runs that these plain composed configs describe; ConfigError before any begins.

    Raises StoppedError after SIGINT or SIGTERM, once what was finished is safe.
    """
    from harness.execution.interface import open_executor

    jobs = check_jobs(configs)
    if options.dry_run:
        from harness.cli import dry_run

        dry_run.show(
            jobs.runs, jobs.ledger, workers=workers(jobs), again=options.again,
            tracked=jobs.tracking.name != "off",
            shape=options.drawn.lines() if options.drawn else (),
        )  # fmt: skip
        return Outcome(values=[0.0] * len(configs))
    ledger = Ledger(jobs.ledger.dir)
    check_room(jobs, ledger)
    if options.into is not None:
        ledger.read_sweep(options.into)  # an unknown one is refused before anything is made
    name = _sweep_id(jobs, options, ledger)
    finished = set() if options.again else ledger.finished(jobs.runs, verify=True)
    with contextlib.ExitStack() as stack:
        place = _place(jobs, options, name, ledger)
        executor = None
        if len(finished) < len(jobs.runs):  # one that cannot be had is told before all is made
            executor = open_executor(jobs.executor, place)
            stack.callback(executor.close)
        ledger.prepare()
        stack.enter_context(ledger.lock_sweep(name))
        fresh = _manifest(jobs, options, overrides, ledger)
        manifest = ledger.write_sweep(fresh, replace=options.into is not None)
        kept = jobs.tracking.kept(manifest.tracking)
        if kept != manifest.tracking:
            manifest = ledger.write_sweep(
                dataclasses.replace(manifest, tracking=kept), replace=True
            )
        launch = Launch(options.began)
        with launch.kept(ledger, manifest, len(jobs.runs) - len(finished)):
            work = _Work(
                jobs=jobs, options=options, manifest=manifest, finished=finished, place=place,
                executor=executor, launch=launch,
            )  # fmt: skip
            failed, told = _train(work)
            rows = outcome.rows_of(ledger, jobs.runs)
            if jobs.ledger.weights == "best" and not options.single:
                ledger.keep_best_weights(manifest.sweep_id)
    tracked = told.parent_id is not None and not told.behind
    notes = (what_was_dropped(jobs, launch.dropped),) if launch.dropped else ()
    end = End(
        rows=rows, failed=failed, manifest=manifest, single=options.single, tracked=tracked,
        notes=notes,
    )  # fmt: skip
    if not options.part:
        end.tell()
    values = outcome.values_of(jobs.run_ids, rows, failed)
    return Outcome(
        values=values, sweep_id=None if options.single else manifest.sweep_id,
        exit_code=1 if failed else 0, run_ids=jobs.run_ids, end=end,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The parts of one sweep that training it needs."""

    jobs: Jobs
    options: Options
    manifest: SweepManifest
    finished: set[str]
    place: Place
    executor: Executor | None  # None where nothing is left to train
    launch: Launch

    @property
    def todo(self) -> dict[str, RunConfig]:
        """run_id -> run, of those not finished."""
        return {name: run for name, run in self.jobs.runs.items() if name not in self.finished}


def _sweep_id(jobs: Jobs, options: Options, ledger: Ledger) -> str:
    if options.single:
        return jobs.run_ids[0]
    if options.into is not None:
        return ledger.read_sweep(options.into).sweep_id
    return sweep_id(jobs.run_ids)


def _manifest(
    jobs: Jobs, options: Options, overrides: Sequence[str], ledger: Ledger
) -> SweepManifest:
    shown = tuple(redacted(text) for text in overrides if not text.startswith("hydra"))
    told = jobs.tracking.kept({})
    if options.single:
        run_id, run = next(iter(jobs.runs.items()))
        return new_single(run_id, run, overrides=shown, tracking=told)
    fresh = new_sweep(jobs.runs, overrides=shown, tracking=told)
    fresh = dataclasses.replace(fresh, confirms=options.confirms)
    if options.into is None:
        return fresh
    return ledger.read_sweep(options.into).joined(fresh)


def _train(work: _Work) -> tuple[dict[str, str], Report]:
    """Train what is not finished, telling ledger and tracking.

    Returns run_id -> message of failed runs, and what MLflow has of all.
    """
    from harness.tracking.tracker import open_tracking

    jobs, launch, finished = work.jobs, work.launch, work.finished
    if finished:
        single = work.options.single
        what = "this run is" if single else f"{len(finished)} of {len(jobs.runs)} runs are"
        console.say(f"{what} finished already{'; --again trains it once more' if single else ''}.")
    if jobs.executor == "local":
        launch.processes = work.place.processes
    tracker = open_tracking(jobs.tracking, work.place.ledger)
    with stop_signals() as stop:
        tracker.open_sweep(work.manifest)
        for run_id in finished:  # complete under this parent too, without training
            tracker.finished(run_id)
        try:
            launch.end("planning")
            failed = {} if work.executor is None else _run_all(work, tracker, stop.event)
            launch.end("running")
        except HarnessError:
            tracker.close("KILLED", STOP_SECONDS)
            raise
        report = _close(tracker, stop, quiet=work.options.quiet)
        launch.end("tracking")
        if stop.signum:
            raise StoppedError(stop.signum)
    return failed, report


def _close(tracker: NullTracker, stop: Stop, *, quiet: bool) -> Report:
    if stop.signum:
        left = STOPPED_BY - (time.monotonic() - stop.since)
        return tracker.close("KILLED", max(STOP_SECONDS, left))
    note = threading.Timer(
        WAIT_SECONDS, console.say,
        ["writing the last runs to MLflow; Ctrl-C leaves them to `harness sync`."],
    )  # fmt: skip
    note.daemon = True
    if not quiet:
        note.start()
    try:
        return tracker.close(stopping=stop.event.is_set)
    finally:
        note.cancel()


def _run_all(work: _Work, tracker: NullTracker, stop: threading.Event) -> dict[str, str]:
    from harness.execution.interface import Event, run_jobs

    executor, todo, jobs, launch = work.executor, work.todo, work.jobs, work.launch
    assert executor is not None
    failed: dict[str, str] = {}
    ended: set[str] = set()
    steps = {run_id: run.train.steps for run_id, run in todo.items()}
    losses = {run_id: run.loss.name for run_id, run in todo.items()}
    with progress(steps, losses, quiet=work.options.quiet) as meter:

        def on_event(event: Event) -> None:
            if event.kind == "note":
                console.say(event.message)
                return
            if event.kind == "spent":
                launch.heard(event.values)
                return
            if event.kind in ("finished", "failed"):
                meter.ended(event.run_ids)
                ended.update(event.run_ids)
            else:
                meter.step(event.run_ids, event.step)
            if event.kind == "evaluation":
                seen = Evaluation(run_ids=event.run_ids, step=event.step, values=event.values)
                meter.evaluated(seen)
                tracker.points(seen)
            for run_id in event.run_ids:
                if event.kind == "finished":
                    tracker.finished(run_id)  # read back from the ledger: what is kept is shown
                elif event.kind == "failed":
                    failed[run_id] = event.message
                    tracker.failed(run_id, event.message)

        def train(runs: Mapping[str, RunConfig], rung: Rung | None) -> None:
            left = [run for run_id, run in runs.items() if run_id in todo and run_id not in ended]
            if left:
                run_jobs(
                    left, executor=executor, place=work.place, on_event=on_event, stop=stop,
                    rung=rung,
                )  # fmt: skip

        if jobs.halving.factor is None:
            train(todo, None)
        else:
            halved = halve(
                configurations(jobs), jobs.halving, work.place.ledger, train, stop.is_set
            )
            launch.dropped = halved.dropped
            for run_id, step in halved.dropped.items():
                tracker.dropped(run_id, step)
            meter.ended(list(halved.dropped))
            for note in halved.notes:
                console.say(f"halving, {note}.")
    return failed


def _place(jobs: Jobs, options: Options, name: str, ledger: Ledger) -> Place:
    from harness.execution.interface import Place

    tracked = jobs.tracking.name != "off"
    return Place(
        ledger=ledger, name=name, replace=options.again, cluster=jobs.cluster,
        weights=jobs.ledger.weights != "none",
        processes=1 if options.single else workers(jobs),
        checkpoint_seconds=jobs.ledger.checkpoint_seconds, say=console.say,
        live=live(jobs) if tracked else (WATCHED,),
    )  # fmt: skip
