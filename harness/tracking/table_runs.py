"""Runs of a sweep that MLflow has as rows of its parent's table alone (tracking.runs=table)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from harness.tracking.pages import TAGS
from harness.tracking.projection import param_values

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_METRICS = ("warnings",)


def runs_in_table(parent: Any, content: bytes, prefix: str) -> list[Any]:
    """Runs in a parent's runs.parquet whose run_id begins so, as MLflow's client gives a child.

    Each has the parent's place in MLflow; its params, tags and final numbers are its row's.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    if TAGS not in table.column_names:
        return []
    note = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    table = table.filter(pc.starts_with(table.column("run_id"), prefix))
    settings = set(json.loads(note.get("harness.settings", "[]")))
    coded = set(json.loads(note.get("harness.json", "[]")))
    return [_run_of(parent, row, settings, coded) for row in table.to_pylist() if row.get(TAGS)]


def _run_of(parent: Any, row: Mapping[str, Any], settings: set[str], coded: set[str]) -> Any:
    from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

    known = {k: v for k, v in row.items() if v is not None or k in settings}
    known |= {k: json.loads(known[k]) for k in coded.intersection(known) if known[k] is not None}
    tags = {"mlflow.parentRunId": parent.info.run_id, **json.loads(row[TAGS])}
    numbers = {
        key: float(value)
        for key, value in known.items()
        if key not in settings and key not in NOT_METRICS
        and isinstance(value, (int, float)) and not isinstance(value, bool)
    }  # fmt: skip
    params = param_values({key: known[key] for key in settings.intersection(known)})
    info = RunInfo(
        run_id=parent.info.run_id, experiment_id=parent.info.experiment_id, user_id="unknown",
        status=str(row["status"]), start_time=parent.info.start_time, end_time=None,
        lifecycle_stage="active", artifact_uri=parent.info.artifact_uri, run_name=row["name"],
    )  # fmt: skip
    data = RunData(
        metrics=[Metric(key, value, 0, 0) for key, value in numbers.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    return Run(info, data)
