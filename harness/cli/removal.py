"""Removing a sweep everywhere: from MLflow first, then from the ledger, the truth."""

from __future__ import annotations

from dataclasses import dataclass

from harness.config.settings import Tracking
from harness.errors import ConfigError, shown
from harness.records.ledger import Ledger, Removal
from harness.records.manifests import SweepManifest
from harness.tracking.tracker import forget_sweep


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to go, and the words for it."""

    ledger: Ledger
    sweep: SweepManifest
    removal: Removal
    text: str


def describe(name: str, folder: str) -> Plan:
    """What removing this sweep, or run trained by itself, would remove; ConfigError if unknown."""
    ledger = Ledger(folder)
    if name == "newest":
        raise ConfigError("SWEEP is 'newest'; to remove one, give its id or first digits.")
    sweep = _found(ledger, name)
    found = ledger.remove_sweep(sweep.sweep_id, dry_run=True)
    there = len(ledger.finished(found.removed))
    if sweep.kind == "single":
        name = next(iter(sweep.names.values()))
        lines = [f"run {sweep.sweep_id} ({name}), {found.bytes / 1e6:.1f} MB"]
    else:
        head = f"sweep {sweep.sweep_id}: {len(sweep.run_ids)} runs"
        lines = [f"{head}, {there} finished ones to remove, {found.bytes / 1e6:.1f} MB"]
    if found.kept:
        lines.append(f"{_runs(len(found.kept))} belonging to other sweeps too: kept")
    return Plan(ledger=ledger, sweep=sweep, removal=found, text="\n".join(lines))


def remove(plan: Plan, uri: str | None = None) -> str:
    """Remove it; what was done, in words. HarnessError, with nothing removed, if MLflow is down.

    MLflow comes first: what is gone from the ledger could not be found there any more.
    LedgerBusyError while the sweep is in training.
    """
    ledger, sweep = plan.ledger, plan.sweep
    with ledger.lock_sweep(sweep.sweep_id):
        hidden = forget_sweep(sweep, Tracking(uri=uri))
    gone = ledger.remove_sweep(sweep.sweep_id)
    what = "" if sweep.kind == "single" else " and the sweep"
    return (
        f"{_runs(len(gone.removed))}{what} removed from {ledger.root}; {_runs(hidden)} of MLflow "
        "marked deleted (`mlflow gc` frees their space)."
    )


def _found(ledger: Ledger, name: str) -> SweepManifest:
    """The sweep or single run of this id; ConfigError for a run that is a sweep's."""
    runs = [r for sweep in ledger.sweeps() for r in sweep.run_ids if name and r.startswith(name)]
    try:
        return ledger.read_sweep(name, singles=True)
    except ConfigError:
        if not runs:
            raise
        home = next(sweep.sweep_id for sweep in ledger.sweeps() if runs[0] in sweep.run_ids)
        raise ConfigError(
            f"SWEEP is {shown(name)}, a run of sweep {home}; allowed: a sweep, or a run that was "
            "trained by itself."
        ) from None


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
