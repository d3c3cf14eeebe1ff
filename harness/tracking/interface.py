"""What a tracker takes and gives back, and the one that is switched off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.records.manifests import SweepManifest
    from harness.records.record import Evaluation, RunRecord


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of closing a tracker: runs complete in MLflow, runs it lacks, where the parent is."""

    written: int
    behind: int
    parent_id: str | None = None
    experiment_id: str | None = None


class NullTracker:
    """Tracking switched off: takes everything, keeps nothing."""

    def open_sweep(self, sweep: SweepManifest) -> None:
        """Nothing is begun."""

    def points(self, seen: Evaluation) -> None:
        """Nothing is shown."""

    def finished(self, record: RunRecord | str | None) -> None:
        """Nothing is written."""

    def failed(self, run_id: str, message: str) -> None:
        """Nothing is written."""

    def dropped(self, run_id: str, step: int) -> None:
        """Nothing is written."""

    def close(
        self, status: str = "FINISHED", timeout: float | None = None,
        stopping: Callable[[], bool] = bool,
    ) -> Report:  # fmt: skip
        """Nothing is awaited."""
        del status, timeout, stopping
        return Report(written=0, behind=0)
