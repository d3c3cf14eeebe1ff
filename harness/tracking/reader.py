"""Reading sweeps out of any MLflow store, of which nothing but MLflow and its artifacts is needed.

`reading` uses this; mlflow itself (two seconds to import) is imported inside functions.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.components.metrics import select
from harness.errors import ConfigError, HarnessError
from harness.records.record import CURVES, WEIGHTS, machine_of, read_curves
from harness.system import KEYS
from harness.tracking.addresses import redacted, sqlite_file, store_address
from harness.tracking.client import PAGE, open_client
from harness.tracking.curves import curves_of
from harness.tracking.moved import check_in_place
from harness.tracking.portable import file_of
from harness.tracking.table_runs import runs_in_table

if TYPE_CHECKING:
    from collections.abc import Sequence


class MlflowReader:
    """One store, read alone: never creates a database, an experiment or a run.

    ConfigError where the address names nothing; HarnessError where the store does not answer.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = store_address(uri)
        path = sqlite_file(self.uri)
        if path is not None:
            if not path.exists():
                raise ConfigError(
                    f"there is no MLflow store at {path}; start one with `harness sweep`, go to "
                    "the folder that holds mlflow.db, or set MLFLOW_TRACKING_URI."
                )
            check_in_place(path)
        self.client = open_client(self.uri)
        self._experiments: dict[str, str] | None = None

    @property
    def experiments(self) -> dict[str, str]:
        """Active experiments: id -> name."""
        if self._experiments is None:
            found: list[Any] = []
            token = None
            while True:
                page = self._ask(self.client.search_experiments, page_token=token)
                found += page
                token = page.token
                if not token:
                    break
            self._experiments = {str(e.experiment_id): str(e.name) for e in found}
        return self._experiments

    def parents(self) -> list[Any]:
        """The parent runs of all sweeps, newest first."""
        return self.search("tags.`harness.kind` = 'sweep'")

    def singles(self) -> list[Any]:
        """Runs that were trained by themselves, newest first."""
        return self.search("tags.`harness.kind` = 'single'")

    def children(self, parent: Any) -> list[Any]:
        """The runs of a sweep in its own order."""
        mine = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        return self.search(mine, experiments=[parent.info.experiment_id], oldest=True)

    def runs_named(self, prefix: str) -> list[Any]:
        """Runs whose own id (harness.run_id) or MLflow id begins so, newest first."""
        if not prefix.isalnum():
            return []
        found = self.search(f"tags.`harness.run_id` LIKE '{prefix}%'")
        if not found and len(prefix) == 32:
            found = self.search(f"attributes.run_id = '{prefix}'")
        return found or self._in_tables(prefix)

    def _in_tables(self, prefix: str) -> list[Any]:
        """Runs that are rows of their parent's table alone."""
        parents = self.search("tags.`harness.table` = 'true'")
        return [run for parent in parents for run in self.table_runs(parent, prefix)]

    def table_runs(self, parent: Any, prefix: str = "") -> list[Any]:
        """Runs that a parent has in its table and not as children, as if they were children."""
        content = self.artifact(parent, "runs.parquet")
        return runs_in_table(parent, content, prefix) if content is not None else []

    def search(
        self, words: str, *, experiments: Sequence[str] | None = None, oldest: bool = False
    ) -> list[Any]:
        """Active runs that a filter finds, by start time."""
        ids = list(experiments or self.experiments)
        if not ids:
            return []
        order = [f"attributes.start_time {'ASC' if oldest else 'DESC'}"]
        found: list[Any] = []
        token = None
        while True:
            page = self._ask(
                self.client.search_runs, ids, words, max_results=PAGE, order_by=order,
                page_token=token,
            )  # fmt: skip
            found += page
            token = page.token
            if not token:
                return found

    def artifact(self, run: Any, name: str) -> bytes | None:
        """One artifact's bytes; None where the run has no such file."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if name == WEIGHTS and run.data.tags.get("mlflow.parentRunId") == run.info.run_id:
            name = file_of(run.data.tags["harness.run_id"])  # a row's, among the parent's
        where: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=self.uri)
        if not any(entry.path == name for entry in where.list_artifacts()):
            return None
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            return Path(where.download_artifacts(name, folder)).read_bytes()

    def curves(self, run: Any) -> tuple[dict[str, Any], bool]:
        """Metric -> (steps, values) of a run, and whether that is every point there was.

        From the run's own curves.parquet or its parent's; else the points that MLflow itself has.
        """
        parent = run.data.tags.get("mlflow.parentRunId")
        own = self.artifact(run, CURVES) if parent != run.info.run_id else None
        if own is not None:
            return read_curves(own), True
        whole = self.artifact(self._ask(self.client.get_run, parent), CURVES) if parent else None
        found = curves_of(whole, run.data.tags["harness.run_id"]) if whole is not None else {}
        return (found, True) if found else (self.histories(run), False)

    def histories(self, run: Any) -> dict[str, Any]:
        """Metric -> (steps, values) of the metrics that MLflow has at more than one step."""
        import numpy as np

        out = {}
        for name in select(run.data.metrics, live=True):
            found = self._ask(self.client.get_metric_history, run.info.run_id, name)
            points = {int(one.step): float(one.value) for one in found}
            if len(points) > 1:
                steps = np.array(sorted(points), np.int64)
                out[name] = steps, np.array([points[s] for s in steps.tolist()])
        return out

    def _ask(self, what: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return what(*args, **kwargs)
        except Exception as error:
            reason = redacted(f"{type(error).__name__}: {error}".splitlines()[0])[:300]
            raise HarnessError(
                f"MLflow at {redacted(self.uri)} cannot be read: {reason}. Is it running, and is "
                "MLFLOW_TRACKING_URI right?"
            ) from error


def child_row(run: Any) -> dict[str, Any]:
    """One MLflow run as a row of a table of runs, settings parsed back from their text."""
    tags = run.data.tags
    row: dict[str, Any] = {
        "status": run.info.status,
        "name": run.info.run_name,
        "run_id": tags.get("harness.run_id"),
        "config_id": tags.get("harness.config_id"),
        "verdict": tags.get("harness.verdict"),
        "start": tags.get("harness.start_kind"),
        "machine": machine_of({key: tags.get(f"harness.{key}") for key in KEYS}),
    }
    row |= {key: setting(text) for key, text in run.data.params.items()}
    row |= run.data.metrics
    row["mlflow_run_id"] = run.info.run_id
    if "harness.error" in tags:
        row["error"] = tags["harness.error"]
    return row


def setting(text: str) -> Any:
    """The value behind an MLflow parameter's text: null, numbers, booleans, lists, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
