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

from harness import system
from harness.cli import outcome
from harness.cli.grid import Drawn
from harness.cli.halving import Configuration, halve
from harness.cli.launch import Launch
from harness.cli.progress import WATCHED, progress
from harness.cli.stopping import Stop, StoppedError, stop_signals
from harness.components.metrics import having, select
from harness.config.foreign import check_trainable
from harness.config.groups import Data
from harness.config.ids import sweep_id
from harness.config.run import Known, RunConfig, build
from harness.config.settings import Cluster, Halving, Tracking, read_cluster
from harness.config.settings import Ledger as LedgerSettings
from harness.data.remarks import data_notes
from harness.errors import ConfigError, HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest, new_single, new_sweep
from harness.records.record import Evaluation
from harness.records.saved import read_config
from harness.render import console
from harness.tracking.addresses import redacted, store_address

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.engine.cost import Need
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
class End:
    """What a sweep's end reports: its rows, failures, manifest; whether MLflow has all of it."""

    rows: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    manifest: SweepManifest
    single: bool
    tracked: bool
    notes: tuple[str, ...] = ()

    def tell(self) -> None:
        """Print it on stdout."""
        outcome.tell(
            self.rows, self.failed, self.manifest, single=self.single, tracked=self.tracked
        )
        for note in self.notes:
            print(note)


def joined(parts: Sequence[End]) -> End:
    """The end of a sweep that came in batches: the last batch's manifest names all runs."""
    rows: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    for part in parts:
        rows |= part.rows
        failed |= part.failed
    return dataclasses.replace(
        parts[-1], rows=rows, failed={r: m for r, m in failed.items() if r not in rows},
        tracked=all(part.tracked for part in parts),
        notes=tuple(note for part in parts for note in part.notes),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Per job, in order: the yardstick, or the exception that ended it; 0 after a dry run."""

    values: list[Any]
    sweep_id: str | None = None
    exit_code: int = 0
    run_ids: tuple[str, ...] = ()  # per job, in order
    end: End | None = None  # of a part: what is left to report


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """A checked grid: `run_ids` a job in order (equal ones repeat), `runs` by id, each once."""

    run_ids: tuple[str, ...]
    runs: Mapping[str, RunConfig]
    checksums: Mapping[Data, str]
    tracking: Tracking
    ledger: LedgerSettings
    executor: str
    cluster: Cluster
    halving: Halving
    sets: Mapping[Data, Dataset]
    need: Need  # of the chunk that takes most memory


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
            jobs.runs, Ledger(jobs.ledger.dir), workers=_workers(jobs),
            tracked=jobs.tracking.name != "off", keep=jobs.ledger.weights,
            again=options.again, shape=options.drawn.lines() if options.drawn else (),
        )  # fmt: skip
        return Outcome(values=[0.0] * len(configs))
    ledger = Ledger(jobs.ledger.dir)
    _check_disk(jobs, ledger)
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
            failed, told = _train(jobs, options, manifest, finished, place, executor, launch)
            rows = outcome.rows_of(ledger, jobs.runs)
            if jobs.ledger.weights == "best" and not options.single:
                ledger.keep_best_weights(manifest.sweep_id)
    tracked = told.parent_id is not None and not told.behind
    notes = (_dropped(jobs, launch.dropped),) if launch.dropped else ()
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


def _dropped(jobs: Jobs, dropped: Mapping[str, int]) -> str:
    """What halving left out of the table, which holds finished runs alone."""
    every = _configurations(jobs)
    gone = sum(any(run_id in dropped for run_id in one.runs) for one in every)
    return (
        f"\nHalving dropped {gone} of {len(every)} configurations ({len(dropped)} runs) on the "
        f"way: the best is the best of {len(every)}. The same sweep with halving.factor=null "
        "completes them."
    )


def check_jobs(configs: Sequence[Mapping[str, Any]]) -> Jobs:
    """Settings and data of every job; nothing is written. ConfigError or DataError if wrong."""
    from harness.data.dataset import load_data
    from harness.engine.cost import check_memory, largest_need
    from harness.execution.interface import check_executor

    known: Known = {}  # tens of thousands of points consist of a few dozen groups
    runs = [read_config(config, known=known) for config in configs]
    places: dict[str, Mapping[str, Any]] = {}
    for config in configs:
        around = [config.get(group) for group in ("tracking", "ledger", "engine", "halving")]
        places.setdefault(repr(around), config)
    surroundings = {_surroundings(config) for config in places.values()}
    if len(surroundings) > 1:
        raise ConfigError(
            "tracking.*, ledger.*, halving.*, engine.executor, engine.ray.* or engine.slurm.* "
            "differ between the runs of one sweep; allowed: one value each. Start a sweep for each."
        )
    check_trainable(runs, elsewhere=True)
    sources = dict.fromkeys(run.data for run in runs)
    sets = {data: load_data(data) for data in sources}
    checksums = {data: found.sha256 for data, found in sets.items()}
    tracking, kept, cluster, halving, executor = surroundings.pop()
    if tracking.name != "off":
        store_address(tracking.uri)
    check_executor(executor)
    from harness.engine.device import (
        device_of,  # torch: loaded once all else is known to be right
    )
    from harness.engine.kernel import without_kernels

    if executor == "local":
        _check_device(runs)
        need = check_memory(runs, sets, device_of(runs[0]))
    else:  # other machines have other memories and cards: what does not fit there is halved there
        need = largest_need(runs, sets)
    for text in data_notes(runs, sets):
        console.say(text)
    if executor == "local" and (text := without_kernels(runs)):
        console.say(text)
    ids = tuple(run.run_id(checksums[run.data], device_of(run)) for run in runs)
    return Jobs(
        run_ids=ids, runs=dict(zip(ids, runs, strict=True)), checksums=checksums,
        tracking=tracking, ledger=kept, executor=executor, cluster=cluster, halving=halving,
        sets=sets, need=need,
    )  # fmt: skip


def _surroundings(
    config: Mapping[str, Any],
) -> tuple[Tracking, LedgerSettings, Cluster, Halving, str]:
    tracking = build(Tracking, "tracking.", config.get("tracking") or {})
    kept = build(LedgerSettings, "ledger.", config.get("ledger") or {})
    halving = build(Halving, "halving.", config.get("halving") or {})
    return tracking, kept, read_cluster(config), halving, read_config(config).engine.executor


def _check_disk(jobs: Jobs, ledger: Ledger) -> None:
    from harness.engine.cost import check_disk

    done = ledger.finished(jobs.runs)
    todo = [run for run_id, run in jobs.runs.items() if run_id not in done]
    check_disk(todo, jobs.sets, ledger.root)


def _check_device(runs: Sequence[RunConfig]) -> None:
    import torch

    if any(run.engine.device == "cuda" for run in runs) and not torch.cuda.is_available():
        raise ConfigError(
            "engine.device is 'cuda', but torch finds no CUDA card here; allowed here: auto, cpu. "
            "A card needs its driver and torch's CUDA build: make setup TORCH=cuda."
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


def _train(
    jobs: Jobs, options: Options, manifest: SweepManifest, finished: set[str], place: Place,
    executor: Executor | None, launch: Launch,
) -> tuple[dict[str, str], Report]:  # fmt: skip
    """Train what is not finished, telling ledger and tracking.

    Returns run_id -> message of failed runs, and what MLflow has of all.
    """
    from harness.tracking.tracker import open_tracking

    todo = {run_id: run for run_id, run in jobs.runs.items() if run_id not in finished}
    if finished:
        what = "this run is" if options.single else f"{len(finished)} of {len(jobs.runs)} runs are"
        hint = "; --again trains it once more" if options.single else ""
        console.say(f"{what} finished already{hint}.")
    if jobs.executor == "local":
        launch.processes = place.processes
    tracker = open_tracking(jobs.tracking, place.ledger)
    with stop_signals() as stop:
        tracker.open_sweep(manifest)
        for run_id in finished:  # complete under this parent too, without training
            tracker.finished(run_id)
        try:
            launch.end("planning")
            failed = (
                {} if executor is None
                else _run_all(
                    jobs, todo, executor, place, tracker, stop.event, launch, quiet=options.quiet
                )
            )  # fmt: skip
            launch.end("running")
        except HarnessError:
            tracker.close("KILLED", STOP_SECONDS)
            raise
        report = _close(tracker, stop)
        launch.end("tracking")
        if stop.signum:
            raise StoppedError(stop.signum)
    return failed, report


def _close(tracker: NullTracker, stop: Stop) -> Report:
    if stop.signum:
        left = STOPPED_BY - (time.monotonic() - stop.since)
        return tracker.close("KILLED", max(STOP_SECONDS, left))
    note = threading.Timer(
        WAIT_SECONDS, console.say,
        ["writing the last runs to MLflow; Ctrl-C leaves them to `harness sync`."],
    )  # fmt: skip
    note.daemon = True
    note.start()
    try:
        return tracker.close(stopping=stop.event.is_set)
    finally:
        note.cancel()


def _run_all(
    jobs: Jobs, todo: Mapping[str, RunConfig], executor: Executor, place: Place,
    tracker: NullTracker, stop: threading.Event, launch: Launch, *, quiet: bool,
) -> dict[str, str]:  # fmt: skip
    from harness.execution.interface import Event, run_jobs

    failed: dict[str, str] = {}
    ended: set[str] = set()
    steps = {run_id: run.train.steps for run_id, run in todo.items()}
    losses = {run_id: run.loss.name for run_id, run in todo.items()}
    with progress(steps, losses, quiet=quiet) as meter:

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
                    left, executor=executor, place=place, on_event=on_event, stop=stop, rung=rung
                )

        if jobs.halving.factor is None:
            train(todo, None)
        else:
            halved = halve(_configurations(jobs), jobs.halving, place.ledger, train, stop.is_set)
            launch.dropped = halved.dropped
            for run_id, step in halved.dropped.items():
                tracker.dropped(run_id, step)
            meter.ended(list(halved.dropped))
            for note in halved.notes:
                console.say(f"halving, {note}.")
    return failed


def _configurations(jobs: Jobs) -> list[Configuration]:
    """The grid's configurations, in its order, each with its seeds."""
    from harness.engine.device import device_of

    found: dict[str, dict[str, RunConfig]] = {}
    for run_id, run in jobs.runs.items():
        name = run.config_id(jobs.checksums[run.data], device_of(run))
        found.setdefault(name, {})[run_id] = run
    return [Configuration(runs) for runs in found.values()]


def _place(jobs: Jobs, options: Options, name: str, ledger: Ledger) -> Place:
    from harness.execution.interface import Place

    tracked = jobs.tracking.name != "off"
    return Place(
        ledger=ledger, name=name, replace=options.again, cluster=jobs.cluster,
        weights=jobs.ledger.weights != "none",
        processes=1 if options.single else _workers(jobs),
        checkpoint_seconds=jobs.ledger.checkpoint_seconds, say=console.say,
        live=_live(jobs) if tracked else (WATCHED,),
    )  # fmt: skip


def _live(jobs: Jobs) -> tuple[str, ...]:
    """The curves that are shown while training goes on, those of a user's own metrics included."""
    own = {f"{name}/val": None for run in jobs.runs.values() for name in run.train.metrics}
    return tuple(dict.fromkeys([WATCHED, *select([*having(), *own], live=True)]))


def _workers(jobs: Jobs) -> int:
    asked = next(iter(jobs.runs.values())).engine.workers
    if isinstance(asked, int):
        return asked
    from harness.engine.cost import workers_that_fit

    return workers_that_fit(jobs.need, system.cores())
