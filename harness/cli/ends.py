"""What is reported when a sweep ends, once for all batches of a grid that came in several."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cli import outcome
from harness.cli.jobs import Jobs, configurations
from harness.records.manifests import SweepManifest


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


def what_was_dropped(jobs: Jobs, dropped: Mapping[str, int]) -> str:
    """What halving left out of the table, which holds finished runs alone."""
    every = configurations(jobs)
    gone = sum(any(run_id in dropped for run_id in one.runs) for one in every)
    return (
        f"\nHalving dropped {gone} of {len(every)} configurations ({len(dropped)} runs) on the "
        f"way: the best is the best of {len(every)}. The same sweep with halving.factor=null "
        "completes them."
    )
