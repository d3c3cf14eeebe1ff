"""Removing a sweep everywhere: from MLflow first, then from the ledger, the truth."""

from __future__ import annotations

from dataclasses import dataclass

from harness.config.settings import Tracking
from harness.errors import ConfigError
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
    """What removing the sweep of this id would remove; ConfigError where there is none such."""
    ledger = Ledger(folder)
    if name == "newest":
        raise ConfigError("SWEEP is 'newest'; to remove one, give its id or first digits.")
    sweep = ledger.read_sweep(name)
    found = ledger.remove_sweep(sweep.sweep_id, dry_run=True)
    there = len(ledger.finished(found.removed))
    head = f"{sweep.kind} {sweep.sweep_id}: {len(sweep.run_ids)} runs"
    lines = [f"{head}, {there} finished ones to remove, {found.bytes / 1e6:.1f} MB"]
    if found.kept:
        lines.append(f"{len(found.kept)} runs belong to other sweeps too and are kept")
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
    return (
        f"{len(gone.removed)} runs and the sweep removed from {ledger.root}; {hidden} runs of "
        "MLflow marked deleted (`mlflow gc` frees their space)."
    )
