"""One sweep, or one run trained by itself, in one MLflow store. Only `tracking` uses this."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from harness.components.metrics import metric_of
from harness.records.manifests import Configs
from harness.records.ranking import best_runs
from harness.records.record import CURVES, WEIGHTS
from harness.records.searches import study_of
from harness.tracking import choices, pages, portable, projection
from harness.tracking.addresses import sqlite_file
from harness.tracking.children import ChildWriter
from harness.tracking.entries import Entry, Place, Point
from harness.tracking.model import log_model
from harness.tracking.moved import check_in_place
from harness.tracking.opening import open_store
from harness.tracking.owners import TAG, owner
from harness.tracking.store import found_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.records.record import RunRecord
    from harness.records.searches import Study

BATCH = 128  # runs in one transaction, or handed to the connections at once


class SweepWriter(ChildWriter):
    """Finds or makes the parent, and ends it when its runs are written."""

    parent_tags: Mapping[str, str] = {}
    parent_status = ""

    @property
    def parent_id(self) -> str | None:
        """MLflow's id of the parent, or of a single run."""
        place = next(iter(self.children.values()), None) if self.single else self.parent
        return place.mlflow_id if place is not None else None

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment."""
        return self.connected.experiment_id if self.connected else None

    def open(self) -> None:
        """Connect, settle what dead processes left RUNNING, find or make the parent."""
        self._connect()
        self.store.settle()
        if not self.single:
            shared = projection.param_values(self.sweep.shared)
            mine = {TAG: owner(), **pages.parent_tags(self.sweep)}
            again = {TAG: owner(), **pages.size_tags(self.sweep), **projection.own_tags(self.sweep)}
            if self.table:
                again["harness.table"] = "true"
            begun = self.parent
            self._put_parent(own=mine, tags=again, params=shared)
            if begun is not None and self.sweep.tracking.get("run_name"):
                name = pages.parent_name(self.sweep)
                self.store.client.update_run(begun.mlflow_id, name=name)
        self._look()
        self.opened = True

    def missing(self) -> list[str]:
        """Runs of this sweep that the ledger holds and MLflow lacks, in the sweep's order."""
        there = self.ledger.finished(self.sweep.run_ids) if self.ledger else set()
        return [r for r in self.sweep.run_ids if r in there and r not in self.complete]

    def records_of(self, run_ids: Sequence[str]) -> Iterable[RunRecord]:
        """Records of the ledger, without weights where MLflow is not to have them."""
        assert self.ledger is not None
        keep = self.settings.weights
        weights = keep == "all" or (self.single and keep == "best")
        return self.ledger.read_many(run_ids, weights=weights).values()

    def close(self, status: str) -> None:
        """Write what only the whole sweep knows to the parent, and end it."""
        now = time.time_ns() // 1_000_000
        if status == "KILLED":
            for run_id, place in self.children.items():
                if run_id not in self.complete | self.ended:
                    self.store.end(place, "KILLED", now)
        if self.single:
            return
        rows = self._all_rows()
        done = [row for row in rows if row["status"] == "FINISHED"]
        study = self._study()
        best = [run_id for run_id in best_runs(done) if self.table or run_id in self.children]
        tags = {
            **pages.size_tags(self.sweep),
            "harness.written": str(len(self.complete)),
            "harness.failed": str(sum(row["status"] == "FAILED" for row in rows)),
            "mlflow.note.content": pages.description(
                self.sweep, rows, choices.paragraphs(self.sweep, study, done)
            ),
            **choices.search_tags(study),
        }
        if self.sweep.components:
            tags["harness.components"] = json.dumps(self.sweep.components)
        if best:  # several where losses cannot be compared: the best of each
            tags["harness.best_run"] = ", ".join(self._id_of(run_id) or run_id for run_id in best)
        table = [row | {"mlflow_run_id": self._id_of(row["run_id"])} for row in rows]
        settings = Configs.of(self.sweep.configs).settings()
        files = {
            "runs.parquet": pages.runs_parquet(table, settings, self.sweep.overrides),
            CURVES: self._all_curves(),
            **choices.search_files(study),
        }
        trouble: Exception | None = None
        assert self.parent is not None
        try:
            models = [self._keep_best(run_id, servable=status != "KILLED") for run_id in best]
            if any(models):
                tags["harness.best_model"] = ", ".join(f"models:/{m}" for m in models if m)
            self.store.put_files(self.parent, files)
        except Exception as error:  # noqa: BLE001 - numbers are not lost for a folder's sake
            trouble = error
            tags.pop("harness.written")  # so that sync tries again
        points = [
            *self._parent_points(done), *choices.confirm_points(self.sweep, done),
            *choices.search_points(study, self.sweep.created_ms),
        ]  # fmt: skip
        self._put_parent(
            points=points, tags=tags, datasets=tuple(self.data.values()),
            status=status, end_ms=now,
        )  # fmt: skip
        if trouble is not None:
            raise trouble

    def replay(self) -> None:
        """Write everything MLflow lacks of this sweep from the ledger, and settle its status."""
        assert self.ledger is not None
        self._connect()
        self._look()
        lacking = self.missing()
        failed = self.ledger.failures(self.sweep.run_ids)
        there = self.complete.union(lacking)
        dropped = {r: step for r, step in self.sweep.dropped.items() if r not in there}
        whole = len(there) + len(dropped) == len(self.sweep.run_ids)
        status = "FAILED" if failed else "FINISHED" if whole else "KILLED"
        if (self.table or not lacking) and self._parent_is_current(status, len(there)):
            return
        if self.single and not lacking and not failed:
            return
        self.open()
        for begin in range(0, len(lacking), BATCH):
            self._write_or_raise(self.records_of(lacking[begin : begin + BATCH]), {})
        self._write_or_raise((), {r: failure["message"] for r, failure in failed.items()}, dropped)
        self.close(status)

    def forget(self) -> int:
        """Mark the parent and all children deleted; how many runs."""
        self._connect()
        if self.single:
            return self._delete(harness__kind="single", harness__run_id=self.sweep.sweep_id)
        return sum(
            self._delete(harness__kind=kind, harness__sweep_id=self.sweep.sweep_id)
            for kind in ("run", "sweep")
        )

    # within

    def _delete(self, **tags: str) -> int:
        found = self.store.find(**tags)
        for run in found:
            self.store.delete(found_of(run).place)
        return len(found)

    def _write_or_raise(
        self, finished: Any, failed: Mapping[str, str], dropped: Mapping[str, int] | None = None
    ) -> None:
        finished = list(finished)
        errors = self.write(finished, failed, dropped)
        if errors:  # once more: a slow answer is no outage
            again = [record for record in finished if record.run_id in errors]
            lost = {r: step for r, step in (dropped or {}).items() if r in errors}
            errors = self.write(again, {r: failed[r] for r in errors if r in failed}, lost)
        for error in errors.values():
            raise error

    def _connect(self) -> None:
        """Open the store and find the parent."""
        if self.connected is None:
            path = sqlite_file(self.uri)
            if path is not None and self.settings.artifacts is None:
                check_in_place(path)
            self.connected = open_store(
                self.uri, self.settings.experiment, self.settings.artifacts,
                pages.EXPERIMENT_NOTE,
            )  # fmt: skip
        if self.single:
            return
        found = self.store.find(harness__kind="sweep", harness__sweep_id=self.sweep.sweep_id)
        self.parent = found_of(found[0]).place if found else None
        self.parent_tags = dict(found[0].data.tags) if found else {}
        self.parent_status = found[0].info.status if found else ""

    def _put_parent(self, **more: Any) -> None:
        entry = Entry(
            name=pages.parent_name(self.sweep), start_ms=self.sweep.created_ms, reopen=True, **more
        )
        [outcome] = self.store.put([(self.parent, entry)])
        if not isinstance(outcome, Place):
            raise outcome
        self.parent = outcome

    def _parent_is_current(self, status: str, count: int) -> bool:
        """Whether the parent was closed so, over that many runs, and knows its search."""
        written = self.parent_tags.get("harness.written")
        told = choices.search_tags(self._study()).items() <= self.parent_tags.items()
        closed = (self.parent_status, written) == (status, str(count))
        return self.parent is not None and told and closed

    def _study(self) -> Study | None:
        return study_of(self.ledger.root, self.sweep.sweep_id) if self.ledger else None

    def _parent_points(self, done: Sequence[Mapping[str, Any]]) -> list[Point]:
        if projection.data_varies(self.sweep) or not done:
            return []
        floors = {k: v for k, v in done[0].items() if metric_of(k).of_data}
        return [(name, value, self.sweep.created_ms, 0) for name, value in floors.items()]

    def _id_of(self, run_id: str) -> str | None:
        place = self.children.get(run_id)
        return place.mlflow_id if place else None

    def _all_rows(self) -> list[dict[str, Any]]:
        """A row a run in the sweep's order, FAILED ones too; the ledger is asked for the rest."""
        lacking = [run_id for run_id in self.sweep.run_ids if run_id not in self.rows]
        known = dict(self.rows)
        if lacking and self.ledger is not None:
            known |= {row["run_id"]: row for row in self.ledger.table(self.sweep.sweep_id)}
        return [known[run_id] for run_id in self.sweep.run_ids if run_id in known]

    def _all_curves(self) -> bytes:
        """Every series of every finished run as a parquet file, in the sweep's order."""
        if self.ledger is not None:
            lacking = [r for r in self.complete if r not in self.curves]
            for run_id, series in self.ledger.curves(lacking):
                self.curves.add(run_id, series)
        return self.curves.parquet(self.sweep.run_ids)

    def _keep_best(self, run_id: str, *, servable: bool) -> str | None:
        """Give a best run its weights and a model to serve; the model's id.

        servable: not of a sweep that was stopped, whose process has no second left for it.
        """
        if self.settings.weights == "none":
            return None
        record = self.ledger.read(run_id) if self.ledger else self.records.get(run_id)
        if record is None or not record.weights:
            return None
        place = self.parent if self.table else self.children[run_id]
        assert place is not None
        if self.settings.weights == "best":
            name = portable.file_of(run_id) if self.table else WEIGHTS
            self.store.put_files(place, {name: portable.pack(record)})
        client = self.store.client
        return log_model(record, place.mlflow_id, client) if servable else None
