"""One run in one MLflow store: shown while it trains, complete once it is finished."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.run import run_config
from harness.records.record import CURVES, WEIGHTS, curves_parquet
from harness.records.saved import config_yaml, overrides_of, overrides_yaml
from harness.tracking import portable, projection
from harness.tracking.store import Store, owner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.settings import Tracking
    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest
    from harness.records.record import RunRecord


class ChildWriter:
    """Finds or makes one MLflow run a run; every method may raise what MLflow raises.

    written: runs made complete by this object. Runs that were complete before are left alone.
    """

    def __init__(
        self, settings: Tracking, uri: str, sweep: SweepManifest, ledger: Ledger | None
    ) -> None:
        self.settings, self.uri, self.sweep, self.ledger = settings, uri, sweep, ledger
        self.single = sweep.kind == "single"
        self.place = {run_id: i for i, run_id in enumerate(sweep.run_ids)}
        self.opened = False
        self.connected: Store | None = None
        self.parent: Any = None
        self.parent_tags: dict[str, str] = {}
        self.children: dict[str, Any] = {}  # run_id -> MLflow's RunInfo
        self.complete: set[str] = set()
        self.written: set[str] = set()
        self.described: set[str] = set()  # children whose params are known to be there
        self.ended: set[str] = set()  # children closed as FAILED or KILLED
        self.doubtful: set[str] = set()  # children whose creation was sent but not confirmed
        self.records: dict[str, RunRecord] = {}  # where no ledger can be asked
        self.curves: dict[str, Any] = {}

    @property
    def store(self) -> Store:
        """The open store."""
        assert self.connected is not None, "open() comes first"
        return self.connected

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
            self.store.log(info.run_id, points=flat, params=self._params(run_id))
            self.described.add(run_id)

    def write(self, record: RunRecord) -> None:
        """Make a finished run complete: params, points, tags, data, artifacts, end."""
        run_id, store = record.run_id, self.store
        if self.ledger is None:
            self.records[record.run_id] = record
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
            "config.yaml": config_yaml(record.config, record.provenance).encode(),
            "overrides.yaml": overrides_yaml(overrides_of(record.config)).encode(),
            CURVES: curves_parquet(record.series),
        }
        keep = self.settings.weights
        if record.weights and (keep == "all" or (self.single and keep == "best")):
            files[WEIGHTS] = portable.pack(record)
        self.put(info, files)
        seconds = float(record.provenance.get("seconds", 0.0))
        store.end(info.run_id, "FINISHED", self._start(run_id) + round(1000 * seconds))
        self.complete.add(run_id)
        self.written.add(run_id)

    def fail(self, run_id: str, message: str) -> None:
        """Mark a run FAILED and say why; a later success overwrites that."""
        if run_id in self.complete or run_id not in self.sweep.configs:
            return
        info, store = self._child(run_id), self.store
        tags = {"harness.error": message[:5000], "mlflow.note.content": message[:5000]}
        store.log(info.run_id, params=self._params(run_id), tags=tags)
        self.described.add(run_id)
        store.end(info.run_id, "FAILED", self._start(run_id))
        self.ended.add(run_id)

    def put(self, info: Any, files: Mapping[str, bytes]) -> None:
        """Add files (name -> content) to a run's artifacts."""
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self.store.put(info, Path(folder))

    # within

    def _start(self, run_id: str) -> int:
        """Start times follow the sweep's order, so that children sort as they were asked for."""
        return self.sweep.created_ms + 1 + self.place[run_id]

    def _params(self, run_id: str) -> dict[str, str]:
        if run_id in self.described:
            return {}
        return projection.param_values(self.sweep.configs[run_id])

    def _child(self, run_id: str) -> Any:
        store, kind = self.store, "single" if self.single else "run"
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
