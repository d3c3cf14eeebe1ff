"""Where the time of one command went: its own phases, and what its workers did meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.stopping import StoppedError

if TYPE_CHECKING:
    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest

PHASES = {  # of the command, in order
    "planning": "reading and checking settings, planning",
    "running": "runs in training",
    "tracking": "MLflow, after the last run",
    "results": "results",
}
WORK = {  # of the processes that train, in order
    "training": "training",
    "evaluation": "evaluation, with theory and calibration",
    "bookkeeping": "bookkeeping: settings, records, reports",
    "waiting": "starting, and waiting for work",
}


class Launch:
    """Measures one launch of a sweep. began: time.monotonic() of the command's start."""

    def __init__(self, began: float | None = None) -> None:
        self.at = time.time()
        self.phases: defaultdict[str, float] = defaultdict(float)
        self.work: defaultdict[str, float] = defaultdict(float)
        self.dropped: dict[str, int] = {}  # runs that halving dropped, and at which step
        self.processes: int | None = None  # that train; None where their number changes
        self._last = time.monotonic() if began is None else began

    def end(self, phase: str) -> None:
        """The time since the last phase ended was this one's."""
        now = time.monotonic()
        self.phases[phase] += now - self._last
        self._last = now

    def heard(self, seconds: Mapping[str, Sequence[float]]) -> None:
        """What a worker says that a chunk took."""
        for name, values in seconds.items():
            self.work[name] += sum(values)

    def to_plain(self, runs: int) -> dict[str, Any]:
        """JSON values, in seconds; runs: how many were to be trained."""
        work = dict(self.work)
        if self.processes is not None:
            known = sum(work.values())
            work["waiting"] = max(0.0, self.processes * self.phases["running"] - known)
        return {
            "at": self.at, "runs": runs, "processes": self.processes,
            "phases": dict(self.phases), "work": work,
        }  # fmt: skip

    @contextlib.contextmanager
    def kept(self, ledger: Ledger, sweep: SweepManifest, runs: int) -> Iterator[None]:
        """Keep it with the sweep's manifest afterwards, if runs were trained; also once stopped."""
        try:
            yield
        except StoppedError:
            self._keep(ledger, sweep, runs)
            raise
        self.end("results")
        self._keep(ledger, sweep, runs)

    def _keep(self, ledger: Ledger, sweep: SweepManifest, runs: int) -> None:
        if runs:
            launches = (*sweep.launches, self.to_plain(runs))
            sweep = dataclasses.replace(sweep, launches=launches, dropped=self.dropped)
            ledger.write_sweep(sweep, replace=True)


def total(launches: Sequence[Mapping[str, Any]], part: str) -> dict[str, float]:
    """Seconds over all launches of a sweep; part: "phases" or "work"."""
    names = PHASES if part == "phases" else WORK
    found: defaultdict[str, float] = defaultdict(float)
    for launch in launches:
        for name, seconds in launch[part].items():
            found[name] += seconds
    return {name: found[name] for name in names if name in found}
