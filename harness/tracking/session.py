"""Training from Python, kept in a ledger and shown in MLflow as the command line would.

from harness import RunConfig, Tracking, train
records = train(runs, ledger="runs", tracking=Tracking(experiment="widths"))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.config.run import RunConfig
from harness.config.settings import Tracking
from harness.errors import ConfigError, shown
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest, new_single, new_sweep
from harness.tracking.interface import NullTracker
from harness.tracking.tracker import open_tracking

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.records.record import RunRecord


def train(
    runs: Sequence[RunConfig], *, data: Dataset | None = None,
    progress: Callable[[int, int], None] | None = None,
    ledger: Ledger | str | os.PathLike[str] | None = None, tracking: Tracking | None = None,
) -> list[RunRecord]:  # fmt: skip
    """Train runs in this process and return their records in the order given.

    Runs of one shape are trained together; equal runs are trained once. `data` serves every run
    when given, otherwise each run's own settings are loaded. progress(done, total) counts
    run-steps. ConfigError on unusable settings.

    Nothing is written unless a ledger (an object or its folder) or tracking is given. With either,
    the runs make a sweep, or one run by itself, that every verb finds. With a ledger finished runs
    are read back instead of trained again. tracking: which MLflow store, experiment and weights;
    where MLflow does not take them, a warning says so and `harness sync` writes them from the
    ledger later.
    """
    from harness.engine.train import train as train_here

    if tracking is not None and not isinstance(tracking, Tracking):
        raise ConfigError(
            f"tracking is {shown(tracking)}; allowed: None, or harness.Tracking(...), such as "
            "Tracking(experiment='widths')."
        )
    home = Ledger(ledger) if isinstance(ledger, (str, os.PathLike)) else ledger
    if (home is None and tracking is None) or isinstance(runs, RunConfig) or not runs:
        return train_here(runs, data=data, progress=progress)
    manifest = _manifest(runs, data, tracking or Tracking(name="off"))
    if home is None:
        return _tracked(runs, data, progress, None, tracking, manifest)
    home.prepare()
    with home.lock_sweep(manifest.sweep_id):
        kept = home.write_sweep(manifest)
        return _tracked(runs, data, progress, home, tracking, kept)


def _manifest(runs: Sequence[RunConfig], data: Dataset | None, tracking: Tracking) -> SweepManifest:
    from harness.data.dataset import load_data
    from harness.engine.device import device_of

    ids = {}
    for run in runs:
        known = data if data is not None else load_data(run.data)
        ids[run.run_id(known.sha256, device_of(run))] = run
    told = {"experiment": tracking.experiment, "weights": tracking.weights}
    if len(ids) == 1:
        [(run_id, run)] = ids.items()
        return new_single(run_id, run, tracking=told)
    return new_sweep(ids, tracking=told)


def _tracked(
    runs: Sequence[RunConfig], data: Dataset | None, progress: Callable[[int, int], None] | None,
    home: Ledger | None, tracking: Tracking | None, manifest: SweepManifest,
) -> list[RunRecord]:  # fmt: skip
    """Train, and tell the tracker of every run, of those that were finished before too."""
    from harness.engine.train import train as train_here

    tracker = NullTracker() if tracking is None else open_tracking(tracking, home)
    tracker.open_sweep(manifest)
    try:
        before = home.finished(manifest.run_ids) if home is not None else set()
        for run_id in before:
            tracker.finished(run_id)
        records = train_here(runs, data=data, progress=progress, ledger=home, tracking=tracker)
    except BaseException:
        tracker.close("KILLED", timeout=5.0)
        raise
    tracker.close()
    return records
