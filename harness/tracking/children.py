"""The runs of one sweep in one MLflow store: shown in training, complete once finished."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.config.run import run_config
from harness.records.durable import digest
from harness.records.record import (
    CURVES,
    WEIGHTS,
    RunRecord,
    curves_parquet,
    table_row,
    weights_bytes,
)
from harness.records.saved import config_yaml
from harness.tracking import pages, portable, projection
from harness.tracking.curves import Curves
from harness.tracking.entries import Entry, Found, Place
from harness.tracking.owners import TAG, owner
from harness.tracking.store import Store, found_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.config.settings import Tracking
    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest

LIVE_SECONDS, REMOTE_SECONDS = 5.0, 60.0
STOPPED_AT = "harness.stopped_at"  # the step at which halving dropped a run
# tags of a run that failed or was dropped, which go once it is finished
ERRORS = ("harness.error", "mlflow.note.content", STOPPED_AT)


class ChildWriter:
    """Finds or makes one MLflow run a run; every method may raise what MLflow raises.

    written: runs made complete by this object. Runs that were complete before are left alone.
    """

    def __init__(
        self, settings: Tracking, uri: str, sweep: SweepManifest, ledger: Ledger | None
    ) -> None:
        self.settings, self.uri, self.sweep, self.ledger = settings, uri, sweep, ledger
        self.single = sweep.kind == "single"
        self.table = settings.runs == "table" and not self.single  # no child, rows alone
        self.place = {run_id: i for i, run_id in enumerate(sweep.run_ids)}
        self.opened = False
        self.connected: Store | None = None
        self.parent: Place | None = None
        self.children: dict[str, Place] = {}  # by run_id
        self.complete: set[str] = set()
        self.written: set[str] = set()
        self.ended: set[str] = set()  # children closed as FAILED or KILLED
        self.doubtful = False  # whether a child may be there that no answer confirmed
        self.rows: dict[str, dict[str, Any]] = {}  # of finished runs that passed through here
        self.curves = Curves()
        self.records: dict[str, RunRecord] = {}  # kept where no ledger can be asked
        self.data: dict[tuple[str, str], dict[str, str]] = {}  # the data sets of the runs

    @property
    def live_seconds(self) -> float:
        """How often runs in training are to be shown; over a connection that costs more."""
        return REMOTE_SECONDS if self.connected and self.connected.remote else LIVE_SECONDS

    @property
    def store(self) -> Store:
        """The open store."""
        assert self.connected is not None, "open() comes first"
        return self.connected

    def show(self, points: Mapping[str, Sequence[tuple[int, Mapping[str, float]]]]) -> None:
        """Points of runs in training: run_id -> [(step, values), ...]."""
        entries = {}
        for run_id, seen in points.items():
            if self.table or run_id in self.complete or run_id not in self.sweep.configs:
                continue
            config = run_config(self.sweep.configs[run_id])
            flat = [
                point
                for step, values in seen
                for point in projection.live_points(config, step, values, self.sweep.created_ms)
            ]
            if flat:
                entries[run_id] = self._entry(run_id, points=flat)
        for error in self._put(entries).values():
            raise error

    def write(
        self, finished: Iterable[RunRecord], failed: Mapping[str, str] | None = None,
        dropped: Mapping[str, int] | None = None,
    ) -> dict[str, Exception]:  # fmt: skip
        """Make finished runs complete, and mark failed ones (run_id -> message) FAILED.

        Those that halving dropped (run_id -> step) end as KILLED, with the tag harness.stopped_at.

        Returns what went wrong, by run; a later success overwrites a failure.
        """
        entries, errors = {}, {}
        finished = list(finished)
        if self.ledger is not None:
            sums = self.ledger.weights_sha256(record.run_id for record in finished)
        else:
            sums = {r.run_id: digest(weights_bytes(r.weights)) for r in finished if r.weights}
        for record in finished:
            run_id = record.run_id
            if run_id not in self.sweep.configs:
                continue
            self._remember(record, sums.get(run_id))
            if self.table:
                self._count(run_id)
            elif run_id not in self.complete:
                try:
                    entries[run_id] = self._finished(record, sums.get(run_id))
                except Exception as error:  # noqa: BLE001 - one run's trouble is not the others'
                    errors[run_id] = error
        for run_id, message in (failed or {}).items():
            if run_id in self.sweep.configs and run_id not in self.complete and not self.table:
                tags = {"harness.error": message[:5000], "mlflow.note.content": message[:5000]}
                entries[run_id] = self._entry(run_id, status="FAILED", tags=tags)
        for run_id, step in (dropped or {}).items():
            if run_id in self.sweep.configs and run_id not in self.complete and not self.table:
                tags = {STOPPED_AT: str(step)}
                entries[run_id] = self._entry(run_id, status="KILLED", tags=tags)
        errors |= self._put(entries)
        for run_id, entry in entries.items():
            if run_id in errors:
                continue
            if entry.status == "FINISHED":
                self._count(run_id)
            else:
                self.ended.add(run_id)
        return errors

    # within

    def _count(self, run_id: str) -> None:
        self.complete.add(run_id)
        self.written.add(run_id)
        self.ended.discard(run_id)

    def _remember(self, record: RunRecord, weights_sha256: str | None) -> None:
        if self.single:
            return
        run_id = record.run_id
        head = {"status": "FINISHED", "name": self.sweep.names.get(run_id, run_id)}
        self.rows[run_id] = head | table_row(record.to_plain())
        if self.table:
            self.rows[run_id][pages.TAGS] = json.dumps(projection.run_tags(record, weights_sha256))
        self.curves.add(run_id, record.series)
        data = projection.dataset_of(record)
        self.data[data["name"], data["digest"]] = data
        if self.ledger is None:
            self.records[run_id] = record

    def _finished(self, record: RunRecord, weights_sha256: str | None) -> Entry:
        run_id = record.run_id
        floors = self.single or projection.data_varies(self.sweep)
        files = {}
        if self.single or self.store.takes_files:
            files["config.yaml"] = config_yaml(record.config, record.provenance).encode()
        if self.single:
            files[CURVES] = curves_parquet(record.series)
        keep = self.settings.weights
        if record.weights and (keep == "all" or (self.single and keep == "best")):
            files[WEIGHTS] = portable.pack(record)
        seconds = float(record.provenance.get("seconds", 0.0))
        return self._entry(
            run_id, status="FINISHED", end_ms=self._start(run_id) + round(1000 * seconds),
            points=projection.record_points(record, self.sweep.created_ms, floors=floors),
            tags=self._note(record, projection.run_tags(record, weights_sha256)), files=files,
            # a request of its own: over a connection only the parent says what the data were
            datasets=() if self.store.remote and not self.single
            else (projection.dataset_of(record),),
        )  # fmt: skip

    def _note(self, record: RunRecord, tags: dict[str, str]) -> dict[str, str]:
        """A run's tags, its page's first words and the user's own; a single run's note first."""
        tags = tags | {"mlflow.note.content": projection.run_note(record)}
        own, note = projection.own_tags(self.sweep), self.sweep.tracking.get("note")
        if self.single and note:
            own["mlflow.note.content"] = f"{note}\n\n{tags['mlflow.note.content']}"
        if self.single:
            return tags | own
        return tags | {key: text for key, text in own.items() if not key.startswith("harness.")}

    def _start(self, run_id: str) -> int:
        """Start times follow the sweep's order, so that children sort as they were asked for."""
        return self.sweep.created_ms + 1 + self.place[run_id]

    def _entry(self, run_id: str, **more: Any) -> Entry:
        own = {"harness.kind": "single" if self.single else "run", "harness.run_id": run_id}
        own |= projection.source_tags(self.sweep)
        if self.single:
            own[TAG] = owner()
        else:
            assert self.parent is not None
            own |= {"harness.sweep_id": self.sweep.sweep_id}
            own |= {"mlflow.parentRunId": self.parent.mlflow_id}
        again = run_id in self.ended
        return Entry(
            name=self._name(run_id), start_ms=self._start(run_id), own=own,
            params=projection.param_values(self.sweep.settings[run_id]), reopen=again,
            without=() if not again or more.get("status") in ("FAILED", "KILLED") else ERRORS,
            **more,
        )  # fmt: skip

    def _name(self, run_id: str) -> str:
        own = self.sweep.tracking.get("run_name") if self.single else None
        return str(own or self.sweep.names[run_id])

    def _put(self, entries: Mapping[str, Entry]) -> dict[str, Exception]:
        """Write entries by run; errors by run."""
        if not entries:
            return {}
        if self.doubtful:
            self._look()
            self.doubtful = False
        pairs = [(self.children.get(run_id), entry) for run_id, entry in entries.items()]
        errors = {}
        for run_id, outcome in zip(entries, self.store.put(pairs), strict=True):
            if isinstance(outcome, Place):
                self.children[run_id] = outcome
            else:
                errors[run_id] = outcome
                self.doubtful = True
        return errors

    def _look(self) -> None:
        """Learn which runs of this sweep the store has: each once, and under its parent."""
        sweep_id = self.sweep.sweep_id
        if self.single:
            runs = self.store.find(harness__kind="single", harness__run_id=sweep_id)
            found = [found_of(run) for run in runs]
        else:
            found = self.store.children(sweep_id)
        self.children, self.complete, self.ended = {}, set(), set()
        if self.table:
            return
        astray = []
        for one in self._once(found):
            self.children[one.run_id] = one.place
            if one.status == "FINISHED":
                self.complete.add(one.run_id)
            elif one.status != "RUNNING":
                self.ended.add(one.run_id)
            if self.parent is not None and one.parent_id != self.parent.mlflow_id:
                astray.append(one.place)
        if astray and self.parent is not None:  # their own parent was deleted
            self.store.tag(astray, {"mlflow.parentRunId": self.parent.mlflow_id})

    def _once(self, found: Sequence[Found]) -> list[Found]:
        """One entry a run, a finished one before others; the rest are marked deleted."""
        kept: dict[str, Found] = {}
        for one in found:
            other = kept.get(one.run_id)
            if other is None or (other.status != "FINISHED" and one.status == "FINISHED"):
                kept[one.run_id] = one
        for one in found:
            if kept[one.run_id] is not one:
                self.store.delete(one.place)
        return list(kept.values())
