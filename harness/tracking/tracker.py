"""MLflow as a projection of the ledger: written while training goes on, never in its way.

`Tracker` hands what happens to one writer thread with a bounded memory. Whatever MLflow cannot
take - it is down, slow or answers 500 - is left out with one warning and can be written later from
the ledger by `sync`. Every child is found again by its tags, so writing twice writes once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
import warnings
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from harness.config.settings import KEPT, Tracking
from harness.errors import HarnessError
from harness.records.durable import LedgerBusyError
from harness.records.record import Evaluation, RunRecord
from harness.tracking.addresses import redacted, sqlite_file, store_address
from harness.tracking.interface import NullTracker, Report
from harness.tracking.moved import mend
from harness.tracking.writer import BATCH, SweepWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest

BATCH_SECONDS = 0.5  # between two batches of finished runs, at least
LIVE_POINTS = 20_000  # held at most; points beyond are left to the finished record
HELD_RECORDS = 64  # finished records held for the writer; the rest are read back from the ledger
STOP_SECONDS = 1.0  # for the writer to end in, once the user has asked to stop
COOL_SECONDS = 15.0  # pause after a store failed


class TrackingWarning(UserWarning):
    """MLflow did not take something; the ledger has it."""


class Tracker(NullTracker):
    """Tells one MLflow store of one sweep, or of one run trained by itself.

    No method but `close` waits for MLflow, and none raises because of it.
    """

    def __init__(self, settings: Tracking, ledger: Ledger | None = None) -> None:
        self.settings, self.ledger = settings, ledger
        self.uri = store_address(settings.uri)
        self._change = threading.Condition()
        # (run_id, failure message, or the step at which it was dropped, or "")
        self._jobs: deque[tuple[str, str | int]] = deque()
        self._records: dict[str, RunRecord] = {}
        self._points: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
        self._held_points = 0
        self._behind: dict[str, str | int] = {}
        self._closing: str | None = None
        self._abandoned = False
        self._warned: set[str] = set()
        self._messages: deque[str] = deque()
        self._writer: SweepWriter | None = None
        self._thread: threading.Thread | None = None
        self._cool_until = 0.0

    def open_sweep(self, sweep: SweepManifest) -> None:
        """Begin the parent run of a sweep (or, of kind "single", the run itself)."""
        self._writer = SweepWriter(self.settings, self.uri, sweep, self.ledger)
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def points(self, seen: Evaluation) -> None:
        """Show one evaluation of runs in training; dropped where too many wait already."""
        with self._change:
            for place, run_id in enumerate(seen.run_ids):
                if self._held_points < LIVE_POINTS:
                    values = {name: column[place] for name, column in seen.values.items()}
                    self._points.setdefault(run_id, []).append((seen.step, values))
                    self._held_points += 1

    def finished(self, record: RunRecord | str | None) -> None:
        """Write a finished run: its record, or its id where the ledger has the record."""
        if record is None:
            return
        run_id = record if isinstance(record, str) else record.run_id
        with self._change:
            if isinstance(record, RunRecord) and (
                self.ledger is None or len(self._records) < HELD_RECORDS
            ):
                self._records[run_id] = record
            self._queue(run_id, "")
        self._tell()

    def failed(self, run_id: str, message: str) -> None:
        """Mark a run FAILED, with its message."""
        with self._change:
            self._queue(run_id, redacted(message) or "failed")
        self._tell()

    def dropped(self, run_id: str, step: int) -> None:
        """Mark a run KILLED that halving dropped at a step."""
        with self._change:
            self._queue(run_id, step)
        self._tell()

    @property
    def pending(self) -> int:
        """Runs that still wait to be written."""
        return len(self._jobs) + len(self._behind)

    def close(
        self, status: str = "FINISHED", timeout: float | None = None,
        stopping: Callable[[], bool] = bool,
    ) -> Report:  # fmt: skip
        """Write what waits, then end the parent; after `timeout` seconds leave the rest to sync.

        status: FINISHED, or KILLED where training was stopped. Runs of this sweep that the ledger
        holds and nobody reported are written too. Once `stopping()` is true it waits no longer
        than another `STOP_SECONDS`.
        """
        if self._thread is None or self._writer is None:
            return Report(written=0, behind=0)
        with self._change:
            self._closing = status
            self._change.notify_all()
        until = math.inf if timeout is None else time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < until:
            self._thread.join(0.1)
            if until == math.inf and stopping():
                until = time.monotonic() + STOP_SECONDS
        late = self._thread.is_alive()
        self._abandoned = True
        writer, self._thread = self._writer, None
        behind = self.pending
        if behind:
            self._messages.append(
                f"{behind} runs are not in MLflow yet; `harness sync` writes them from the ledger."
            )
        elif late:
            self._messages.append(
                "MLflow may still show runs as RUNNING; the next launch or `harness sync` settles "
                "them."
            )
        self._tell()
        return Report(
            written=len(writer.written), behind=behind,
            parent_id=writer.parent_id, experiment_id=writer.experiment_id,
        )  # fmt: skip

    # the writer thread

    def _queue(self, run_id: str, message: str | int) -> None:
        self._held_points -= len(self._points.pop(run_id, ()))
        self._jobs.append((run_id, message))
        self._change.notify_all()

    def _tell(self) -> None:
        """Warnings of the writer thread, given in the caller's own thread."""
        while self._messages:
            warnings.warn(self._messages.popleft(), TrackingWarning, stacklevel=3)

    def _work(self) -> None:
        shown = time.monotonic()
        assert self._writer is not None
        while not self._abandoned:
            with self._change:
                ready = bool(self._jobs) and time.monotonic() >= self._cool_until
                if not ready and self._closing is None:
                    self._change.wait(1.0)
                closing = self._closing
            if closing is not None:
                self._attempt(partial(self._finish, closing))
                return
            if time.monotonic() < self._cool_until:
                continue
            if not self._writer.opened:
                self._attempt(self._writer.open)
            elif self._jobs:
                self._write_batch()
                with self._change:  # let more come together; a burst of small runs is one batch
                    self._change.wait_for(lambda: self._closing is not None, BATCH_SECONDS)
            elif time.monotonic() - shown > self._writer.live_seconds:
                shown = time.monotonic()
                self._attempt(self._show)

    def _write_batch(self) -> bool:
        """Write the next batch of what waits; False where MLflow took none or not all of it."""
        assert self._writer is not None
        with self._change:
            jobs = dict(self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs))))
            self._behind.update(jobs)
        errors: dict[str, Exception] = {}

        def write() -> None:
            assert self._writer is not None
            failed = {run_id: m for run_id, m in jobs.items() if m and isinstance(m, str)}
            dropped = {run_id: step for run_id, step in jobs.items() if isinstance(step, int)}
            errors.update(self._writer.write(self._records_of(jobs), failed, dropped))

        whole = self._attempt(write)
        for run_id in jobs:
            if whole and run_id not in errors:
                self._behind.pop(run_id, None)
                self._records.pop(run_id, None)
            elif self.ledger is not None:
                self._records.pop(run_id, None)
        for error in errors.values():
            self._tell_of(error)
        return whole and not errors

    def _records_of(self, jobs: Mapping[str, str | int]) -> Iterator[RunRecord]:
        assert self._writer is not None
        asked = []
        for run_id, message in jobs.items():
            record = self._records.get(run_id)
            if message != "":
                continue
            if record is not None:
                yield record
            else:
                asked.append(run_id)
        if self.ledger is not None:
            yield from self._writer.records_of(asked)

    def _attempt(self, what: Callable[[], None]) -> bool:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whatever MLflow raises must not stop training
            self._tell_of(error)
            return False
        return True

    def _tell_of(self, error: Exception) -> None:
        """Note an error for the user, each once and few of them; MLflow is left alone a while."""
        reason = redacted(f"{type(error).__name__}: {error}".splitlines()[0])[:300]
        if reason not in self._warned and len(self._warned) < 5:
            self._warned.add(reason)
            self._messages.append(
                f"MLflow at {redacted(self.uri)} did not take the data ({reason}); training goes "
                "on, and `harness sync` can write it later."
            )
        self._cool_until = time.monotonic() + COOL_SECONDS

    def _show(self) -> None:
        assert self._writer is not None
        with self._change:
            taken, self._points = self._points, {}
            self._held_points = 0
        self._writer.show(taken)

    def _finish(self, status: str) -> None:
        """Everything that waits, once; then the rest of the ledger's, and the parent's end."""
        writer = self._writer
        assert writer is not None
        if not writer.opened:
            writer.open()
        if self._write_rest(2) and self.ledger is not None:
            self._jobs.extend((run_id, "") for run_id in writer.missing())
            self._write_rest(2)
        if not self._behind and not self._abandoned:
            writer.close(status)

    def _write_rest(self, failures: int) -> bool:
        """Write all that waits, what failed before too; give up at so many failures."""
        while failures and not self._abandoned:
            if not self._jobs:
                self._jobs.extend(self._behind.items())
                self._behind.clear()
            if not self._jobs:
                return True
            failures -= not self._write_batch()
        return False


def open_tracking(
    settings: Tracking | None = None, ledger: Ledger | None = None
) -> Tracker | NullTracker:
    """The tracker that these settings ask for; ConfigError for an address no store can have."""
    settings = settings or Tracking()
    return NullTracker() if settings.name == "off" else Tracker(settings, ledger)


def sync(
    ledger: Ledger, settings: Tracking | None = None, *,
    say: Callable[[str], object] = str,
) -> Report:  # fmt: skip
    """Write to MLflow what the ledger holds and MLflow lacks; HarnessError if it cannot be reached.

    Sweeps that are in progress elsewhere are left to their own process.
    """
    settings = settings or Tracking()
    uri = store_address(settings.uri)
    written = behind = 0
    path = sqlite_file(uri)
    if path is not None and settings.artifacts is None:
        with _told(uri, "then `harness sync` again."):
            for home in mend(path):
                say(f"{path} was at {home} before; its artifacts are now looked for beside it.")
    everything = sorted(
        ledger.sweeps() + ledger.sweeps("single"), key=lambda sweep: (sweep.created_ms, sweep.kind)
    )
    for sweep in everything:
        try:
            then = "then `harness sync` again; nothing in the ledger is lost."
            count = sync_sweep(ledger, sweep, settings, then=then)
            written += count
            say(f"{sweep.kind} {sweep.sweep_id}: {count} runs written.")
        except LedgerBusyError as busy:
            behind += len(sweep.run_ids)
            say(f"{busy} It writes to MLflow itself.")
    return Report(written=written, behind=behind)


def sync_sweep(
    ledger: Ledger, sweep: SweepManifest, settings: Tracking, *, then: str = "then `harness sync`."
) -> int:
    """Write to MLflow what it lacks of one sweep; how many runs that was.

    HarnessError if MLflow cannot be reached, with what to do `then`; LedgerBusyError where the
    sweep is in progress.
    """
    uri = store_address(settings.uri)
    with ledger.lock_sweep(sweep.sweep_id), _told(uri, then):
        writer = SweepWriter(_as_told(sweep, settings), uri, sweep, ledger)
        writer.replay()
    return len(writer.written)


def forget_sweep(sweep: SweepManifest, settings: Tracking | None = None) -> int:
    """Mark a sweep's parent and children deleted in MLflow; how many runs that was.

    A store that is not there has nothing to forget, and is not created. HarnessError where it
    does not answer.
    """
    settings = settings or Tracking()
    uri = store_address(settings.uri)
    path = sqlite_file(uri)
    if path is not None and not path.exists():
        return 0
    with _told(uri, "then try again; nothing was removed."):
        return SweepWriter(_as_told(sweep, settings), uri, sweep, None).forget()


@contextlib.contextmanager
def _told(uri: str, then: str) -> Iterator[None]:
    """What a store answers, as a HarnessError that says what to do."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        reason = redacted(f"{type(error).__name__}: {error}".splitlines()[0])
        raise HarnessError(
            f"MLflow at {redacted(uri)} cannot be written: {reason[:300]}. Start it, {then}"
        ) from error


def _as_told(sweep: SweepManifest, settings: Tracking) -> Tracking:
    """The settings that a sweep was started with, at the address asked for now."""
    told = {key: sweep.tracking[key] for key in KEPT if key in sweep.tracking}
    return dataclasses.replace(settings, **told)
