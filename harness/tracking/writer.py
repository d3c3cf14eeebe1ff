"""One sweep, or one run trained by itself, in one MLflow store. Only `tracking` uses this."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from harness.config.run import unnest
from harness.records.ranking import best_runs
from harness.records.record import CURVES, WEIGHTS, join_curves, table_row
from harness.records.saved import overrides_yaml
from harness.tracking import portable, projection
from harness.tracking.children import ChildWriter
from harness.tracking.model import log_model
from harness.tracking.store import Store, owner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SweepWriter(ChildWriter):
    """Finds or makes the parent, and ends it when its runs are written."""

    @property
    def parent_id(self) -> str | None:
        """MLflow's id of the parent, or of a single run."""
        info = next(iter(self.children.values()), None) if self.single else self.parent
        return str(info.run_id) if info is not None else None

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment."""
        return self.connected.experiment_id if self.connected else None

    def open(self) -> None:
        """Connect, settle what dead processes left RUNNING, find or make the parent."""
        self._connect()
        store = self.store
        store.settle()
        if not self.single:
            if self.parent is None:
                tags = projection.parent_tags(self.sweep) | {"harness.owner": owner()}
                name = projection.parent_name(self.sweep)
                self.parent = store.create(name, self.sweep.created_ms, tags)
                self._log_parent()
            else:
                store.reopen(self.parent.run_id)
                store.log(self.parent.run_id, tags={"harness.owner": owner()})
        self.opened = True

    def missing(self) -> list[str]:
        """Runs of this sweep that the ledger holds and MLflow lacks, in the sweep's order."""
        there = self.ledger.finished(self.sweep.run_ids) if self.ledger else set()
        return [r for r in self.sweep.run_ids if r in there and r not in self.complete]

    def close(self, status: str) -> None:
        """Write what only the whole sweep knows to the parent, and end it."""
        store, now = self.store, time.time_ns() // 1_000_000
        if status == "KILLED":
            for run_id, info in self.children.items():
                if run_id not in self.complete | self.ended:
                    store.end(info.run_id, "KILLED", now)
        if self.single:
            return
        rows = self._rows()
        done = [row for row in rows if row["status"] == "FINISHED"]
        best = [run_id for run_id in best_runs(done) if run_id in self.children]
        tags = {
            **projection.size_tags(self.sweep),
            "harness.written": str(len(self.complete)),
            "harness.failed": str(sum(row["status"] == "FAILED" for row in rows)),
            "mlflow.note.content": projection.description(self.sweep, rows),
        }
        if self.sweep.components:
            tags["harness.components"] = json.dumps(self.sweep.components)
        if best:  # several where losses cannot be compared: the best of each
            tags["harness.best_run"] = ", ".join(str(self.children[r].run_id) for r in best)
            models = [self._keep_best(run_id, servable=status != "KILLED") for run_id in best]
            if any(models):
                tags["harness.best_model"] = ", ".join(f"models:/{m}" for m in models if m)
        store.log(self.parent.run_id, points=self._parent_points(done), tags=tags)
        ids = {run_id: str(info.run_id) for run_id, info in self.children.items()}
        table = [row | {"mlflow_run_id": ids.get(row["run_id"])} for row in rows]
        settings = dict.fromkeys(
            k for config in self.sweep.configs.values() for k in unnest(config)
        )
        files = {
            "overrides.yaml": overrides_yaml(self.sweep.overrides).encode(),
            "runs.parquet": projection.runs_parquet(table, settings),
            CURVES: join_curves(self._all_curves()),
        }
        self.put(self.parent, files)
        store.end(self.parent.run_id, status, now)

    def replay(self) -> None:
        """Write everything MLflow lacks of this sweep from the ledger, and settle its status."""
        assert self.ledger is not None
        self._connect()
        lacking = self.missing()
        failed = self.ledger.failures(self.sweep.run_ids)
        whole = len(self.complete) + len(lacking) == len(self.sweep.run_ids)
        status = "FAILED" if failed else "FINISHED" if whole else "KILLED"
        if self.parent is not None and not lacking and self._parent_is_current(status):
            return
        if self.single and not lacking and not failed:
            return
        self.open()
        for run_id in lacking:
            record = self.ledger.read(run_id)
            if record is not None:
                self.write(record)
        for run_id, failure in failed.items():
            self.fail(run_id, failure["message"])
        self.close(status)

    def forget(self) -> int:
        """Mark the parent and all children deleted; how many runs."""
        self._connect()
        infos = [*self.children.values(), *([self.parent] if self.parent else [])]
        for info in infos:
            self.store.delete(info.run_id)
        return len(infos)

    # within

    def _connect(self) -> None:
        """Open the store and learn what it has of this sweep."""
        if self.connected is None:
            self.connected = Store(
                self.uri, self.settings.experiment, self.settings.artifacts,
                projection.EXPERIMENT_NOTE,
            )  # fmt: skip
        sweep_id = self.sweep.sweep_id
        if self.single:
            runs = self.store.find(harness__kind="single", harness__run_id=sweep_id)
        else:
            parents = self.store.find(harness__kind="sweep", harness__sweep_id=sweep_id)
            self.parent = parents[0].info if parents else None
            self.parent_tags = dict(parents[0].data.tags) if parents else {}
            runs = (
                self.store.find(harness__kind="run", harness__sweep_id=sweep_id) if parents else []
            )
        for run in runs:
            run_id = run.data.tags["harness.run_id"]
            self.children.setdefault(run_id, run.info)
            if run.info.status == "FINISHED":
                self.complete.add(run_id)
            elif run.info.status != "RUNNING":
                self.ended.add(run_id)
            if run.data.params:
                self.described.add(run_id)

    def _parent_is_current(self, status: str) -> bool:
        told = self.parent_tags.get("harness.written")
        return self.parent.status == status and told == str(len(self.complete))

    def _log_parent(self) -> None:
        """What all runs share, as the parent's params; the overrides as given."""
        every = [projection.param_values(config) for config in self.sweep.configs.values()]
        first = every[0] if every else {}
        shared = {k: v for k, v in first.items() if k not in self.sweep.varying}
        self.store.log(self.parent.run_id, params=shared)
        self.put(self.parent, {"overrides.yaml": overrides_yaml(self.sweep.overrides).encode()})

    def _parent_points(self, done: Sequence[Mapping[str, Any]]) -> list[projection.Point]:
        if projection.data_varies(self.sweep) or not done:
            return []
        floors = {k: v for k, v in done[0].items() if k.startswith("floor/")}
        return [(name, value, self.sweep.created_ms, 0) for name, value in floors.items()]

    def _rows(self) -> list[dict[str, Any]]:
        if self.ledger is not None:
            return self.ledger.table(self.sweep.sweep_id)
        return [
            {"status": "FINISHED", "name": self.sweep.names.get(run_id, run_id)}
            | table_row(self.records[run_id].to_plain())
            for run_id in self.sweep.run_ids
            if run_id in self.records
        ]

    def _all_curves(self) -> dict[str, Any]:
        """The step series of every finished run, for one file that shows them all."""
        if self.ledger is None:
            return {run_id: projection.step_series(r) for run_id, r in self.records.items()}
        for run_id in self.sweep.run_ids:
            if run_id in self.complete and run_id not in self.curves:
                record = self.ledger.read(run_id, weights=False)
                if record is not None:
                    self.curves[run_id] = projection.step_series(record)
        return self.curves

    def _keep_best(self, run_id: str, *, servable: bool) -> str | None:
        """Give a best run its weights and a model to serve; the model's id.

        servable: not of a sweep that was stopped, whose process has no second left for it.
        """
        if self.settings.weights == "none":
            return None
        record = self.ledger.read(run_id) if self.ledger else self.records.get(run_id)
        if record is None or not record.weights:
            return None
        info = self.children[run_id]
        if self.settings.weights == "best":
            self.put(info, {WEIGHTS: portable.pack(record)})
        client = self.store.client
        return log_model(record, str(info.run_id), client) if servable else None
