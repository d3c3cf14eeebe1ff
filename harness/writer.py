"""One sweep, or one run trained by itself, in one MLflow store. Only `tracking` uses this."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import projection
from harness.config import run_config
from harness.mlstore import Store, owner
from harness.recordfiles import CURVES, WEIGHTS
from harness.records import (
    RunRecord,
    curves_parquet,
    join_curves,
    table_row,
    weights_bytes,
)  # fmt: skip
from harness.saved import config_yaml, overrides_of, overrides_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.ledger import Ledger
    from harness.manifests import SweepManifest
    from harness.settings import Tracking


class SweepWriter:
    """Finds or makes the parent and one child a run; every method may raise what MLflow raises.

    written: runs made complete by this object. Runs that were complete before are left alone.
    """

    def __init__(
        self, settings: Tracking, uri: str, sweep: SweepManifest, ledger: Ledger | None
    ) -> None:
        self.settings, self.uri, self.sweep, self.ledger = settings, uri, sweep, ledger
        self.single = sweep.kind == "single"
        self.store: Store | None = None
        self.parent: Any = None
        self.children: dict[str, Any] = {}  # run_id -> MLflow's RunInfo
        self.complete: set[str] = set()
        self.written: set[str] = set()
        self.described: set[str] = set()  # children whose params are known to be there
        self.ended: set[str] = set()  # children closed as FAILED or KILLED
        self.place = {run_id: i for i, run_id in enumerate(sweep.run_ids)}
        self.doubtful: set[str] = set()  # children whose creation was sent but not confirmed
        self.rows: dict[str, dict[str, Any]] = {}  # where there is no ledger to read them from
        self.curves: dict[str, Any] = {}
        self.opened = False

    @property
    def parent_id(self) -> str | None:
        """MLflow's id of the parent, or of a single run."""
        info = next(iter(self.children.values()), None) if self.single else self.parent
        return str(info.run_id) if info is not None else None

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment."""
        return self.store.experiment_id if self.store else None

    def open(self) -> None:
        """Connect, settle what dead processes left RUNNING, find or make the parent."""
        self._connect()
        store = self._store()
        store.settle()
        if not self.single:
            if self.parent is None:
                tags = projection.parent_tags(self.sweep) | {"harness.owner": owner()}
                name = f"sweep {self.sweep.sweep_id[:8]}"
                self.parent = store.create(name, self.sweep.created_ms, tags)
                self._log_parent()
            else:
                store.reopen(self.parent.run_id)
                store.log(self.parent.run_id, tags={"harness.owner": owner()})
        self.opened = True

    def show(self, run_id: str, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Points (step, values) of a run in training."""
        if run_id in self.complete or run_id not in self.sweep.configs:
            return
        config = run_config(self.sweep.configs[run_id])
        flat = [
            point
            for step, values in points
            for point in projection.live_points(config, step, values, self.sweep.created_ms)
        ]
        if flat:
            info = self._child(run_id)
            self._store().log(info.run_id, points=flat, params=self._params(run_id))
            self.described.add(run_id)

    def write(self, record: RunRecord) -> None:
        """Make a finished run complete: params, points, tags, data, artifacts, end."""
        run_id, store = record.run_id, self._store()
        if self.ledger is None:
            self.rows[run_id] = self._row(record)
            self.curves[run_id] = self._step_series(record)
        if run_id in self.complete or run_id not in self.sweep.configs:
            return
        info = self._child(run_id)
        floors = self.single or projection.data_varies(self.sweep)
        store.log(
            info.run_id,
            points=projection.record_points(record, self.sweep.created_ms, floors=floors),
            params=self._params(run_id),
            tags=projection.run_tags(record),
        )
        self.described.add(run_id)
        store.log_dataset(info.run_id, **projection.dataset_of(record))
        files = {
            "config.yaml": config_yaml(record.config).encode(),
            "overrides.yaml": overrides_yaml(overrides_of(record.config)).encode(),
            CURVES: curves_parquet(record.series),
        }
        keep = self.settings.weights
        if record.weights and (keep == "all" or (self.single and keep == "best")):
            files[WEIGHTS] = weights_bytes(record.weights)
        self._put(info, files)
        seconds = float(record.provenance.get("seconds", 0.0))
        store.end(info.run_id, "FINISHED", self._start(run_id) + round(1000 * seconds))
        self.complete.add(run_id)
        self.written.add(run_id)

    def fail(self, run_id: str, message: str) -> None:
        """Mark a run FAILED and say why; a later success overwrites that."""
        if run_id in self.complete or run_id not in self.sweep.configs:
            return
        info, store = self._child(run_id), self._store()
        tags = {"harness.error": message[:5000], "mlflow.note.content": message[:5000]}
        store.log(info.run_id, params=self._params(run_id), tags=tags)
        self.described.add(run_id)
        store.end(info.run_id, "FAILED", self._start(run_id))
        self.ended.add(run_id)

    def missing(self) -> list[str]:
        """Runs of this sweep that the ledger holds and MLflow lacks, in the sweep's order."""
        there = self.ledger.finished(self.sweep.run_ids) if self.ledger else set()
        return [r for r in self.sweep.run_ids if r in there and r not in self.complete]

    def close(self, status: str) -> None:
        """Write what only the whole sweep knows to the parent, and end it."""
        store, now = self._store(), time.time_ns() // 1_000_000
        if status == "KILLED":
            for run_id, info in self.children.items():
                if run_id not in self.complete | self.ended:
                    store.end(info.run_id, "KILLED", now)
        if self.single:
            return
        rows = self._rows()
        done = [row for row in rows if row["status"] == "FINISHED"]
        best = projection.best_run(done)
        tags = {
            "harness.written": str(len(self.complete)),
            "harness.failed": str(sum(row["status"] == "FAILED" for row in rows)),
            "mlflow.note.content": projection.description(self.sweep, rows),
        }
        if best in self.children:
            tags["harness.best_run"] = str(self.children[best].run_id)
            self._keep_best(best)
        store.log(self.parent.run_id, points=self._parent_points(done), tags=tags)
        ids = {run_id: str(info.run_id) for run_id, info in self.children.items()}
        table = [row | {"mlflow_run_id": ids.get(row["run_id"])} for row in rows]
        settings = projection.param_values(next(iter(self.sweep.configs.values()), {}))
        files = {
            "overrides.yaml": overrides_yaml(self.sweep.overrides).encode(),
            "runs.parquet": projection.runs_parquet(table, settings),
            CURVES: join_curves(self._all_curves()),
        }
        self._put(self.parent, files)
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
            self._store().delete(info.run_id)
        return len(infos)

    # within

    def _store(self) -> Store:
        assert self.store is not None, "open() comes first"
        return self.store

    def _connect(self) -> None:
        """Open the store and learn what it has of this sweep."""
        if self.store is None:
            self.store = Store(
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

    def _start(self, run_id: str) -> int:
        """Start times follow the sweep's order, so that children sort as they were asked for."""
        return self.sweep.created_ms + 1 + self.place[run_id]

    def _params(self, run_id: str) -> dict[str, str]:
        if run_id in self.described:
            return {}
        return projection.param_values(self.sweep.configs[run_id])

    def _child(self, run_id: str) -> Any:
        store, kind = self._store(), "single" if self.single else "run"
        if run_id in self.doubtful:
            seen = store.find(harness__kind=kind, harness__run_id=run_id, **self._sweep_tag())
            if seen:
                self.children[run_id] = seen[0].info
            self.doubtful.discard(run_id)
        info = self.children.get(run_id)
        if info is None:
            tags = {
                "harness.kind": kind,
                "harness.run_id": run_id,
                **projection.source_tags(self.sweep),
            }
            tags |= {k.replace("__", "."): v for k, v in self._sweep_tag().items()}
            if self.single:
                tags["harness.owner"] = owner()
            else:
                tags["mlflow.parentRunId"] = self.parent.run_id
            self.doubtful.add(run_id)
            info = store.create(self.sweep.names[run_id], self._start(run_id), tags)
            self.doubtful.discard(run_id)
            self.children[run_id] = info
        elif run_id in self.ended:
            store.reopen(info.run_id)
            self.ended.discard(run_id)
            for key in ("harness.error", "mlflow.note.content"):
                store.untag(info.run_id, key)
        return info

    def _sweep_tag(self) -> dict[str, str]:
        return {} if self.single else {"harness__sweep_id": self.sweep.sweep_id}

    def _log_parent(self) -> None:
        """What all runs share, as the parent's params; the overrides as given."""
        every = [projection.param_values(config) for config in self.sweep.configs.values()]
        first = every[0] if every else {}
        shared = {k: v for k, v in first.items() if k not in self.sweep.varying}
        self._store().log(self.parent.run_id, params=shared)
        self._put(self.parent, {"overrides.yaml": overrides_yaml(self.sweep.overrides).encode()})

    def _parent_points(self, done: Sequence[Mapping[str, Any]]) -> list[projection.Point]:
        if projection.data_varies(self.sweep) or not done:
            return []
        floors = {k: v for k, v in done[0].items() if k.startswith("floor/")}
        return [(name, value, self.sweep.created_ms, 0) for name, value in floors.items()]

    def _rows(self) -> list[dict[str, Any]]:
        if self.ledger is not None:
            return self.ledger.table(self.sweep.sweep_id)
        return [self.rows[r] for r in self.sweep.run_ids if r in self.rows]

    def _row(self, record: RunRecord) -> dict[str, Any]:
        head = {"status": "FINISHED", "name": self.sweep.names.get(record.run_id, record.run_id)}
        return head | table_row(record.to_plain())

    def _step_series(self, record: RunRecord) -> dict[str, Any]:
        return {n: record.series[n] for n in projection.STEP_SERIES if n in record.series}

    def _all_curves(self) -> dict[str, Any]:
        """The step series of every finished run, for one file that shows them all."""
        if self.ledger is None:
            return self.curves
        for run_id in self.sweep.run_ids:
            if run_id in self.complete and run_id not in self.curves:
                record = self.ledger.read(run_id, weights=False)
                if record is not None:
                    self.curves[run_id] = self._step_series(record)
        return self.curves

    def _keep_best(self, run_id: str) -> None:
        if self.settings.weights != "best":
            return
        record = self.ledger.read(run_id) if self.ledger else None
        if record is not None and record.weights:
            self._put(self.children[run_id], {WEIGHTS: weights_bytes(record.weights)})

    def _put(self, info: Any, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._store().put(info, Path(folder))
