"""What MLflow's own client would write of a batch of runs, as rows of MLflow's tables.

Kept equal to the client's rows by tests/tracking/test_tables.py: whoever changes one line here
changes the other writer with it, or the test says which column of which table differs.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from harness.tracking.entries import Entry, Place

    Batch = Sequence[tuple[Place, Entry]]

NAME = "mlflow.runName"


class Rows:
    """The rows of one open transaction. Every run of a batch comes in it once."""

    def __init__(self, connection: Connection, experiment: int) -> None:
        from mlflow.store.tracking.dbmodels import models
        from sqlalchemy.dialects import postgresql, sqlite

        dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
        self.connection, self.experiment = connection, experiment
        self.insert, self.models = dialect.insert, models

    def _add(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows; those that are there already stay."""
        if rows:
            self.connection.execute(self.insert(model).on_conflict_do_nothing(), list(rows))

    def runs(self, new: Batch) -> None:
        """Runs that are not there yet."""
        rows = [
            {
                "run_uuid": place.mlflow_id, "name": entry.name, "source_type": "UNKNOWN",
                "source_name": "", "entry_point_name": "", "user_id": "unknown",
                "status": entry.status, "start_time": entry.start_ms, "end_time": entry.end,
                "deleted_time": None, "source_version": "", "lifecycle_stage": "active",
                "artifact_uri": place.artifact_uri, "experiment_id": self.experiment,
            }
            for place, entry in new
        ]  # fmt: skip
        self._add(self.models.SqlRun, rows)

    def changes(self, old: Batch) -> None:
        """Status and end of runs begun earlier; a RUNNING one keeps the end it had."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy import bindparam, func, select, update

        if not old:
            return
        run = self.models.SqlRun
        ids = [place.mlflow_id for place, _ in old]
        active: Any = select(run.run_uuid).where(
            run.run_uuid.in_(ids), run.lifecycle_stage == "active"
        )
        gone = set(ids).difference(self.connection.execute(active).scalars())
        if gone:
            raise MlflowException(f"run {min(gone)} was deleted in MLflow")
        change = (
            update(run.__table__)
            .where(run.run_uuid == bindparam("at"))
            .values(status=bindparam("now"), end_time=func.coalesce(bindparam("end"), run.end_time))
        )
        values = [{"at": p.mlflow_id, "now": e.status, "end": e.end} for p, e in old]
        self.connection.execute(change, values)

    def tags(self, batch: Batch, new: set[str]) -> None:
        """Tags, a later value in place of an earlier one, and without those an entry takes away."""
        from sqlalchemy import bindparam, delete

        tag = self.models.SqlTag
        gone = [
            {"at": place.mlflow_id, "name": key}
            for place, entry in batch
            if place.mlflow_id not in new
            for key in entry.without
        ]
        if gone:
            same: Any = (tag.run_uuid == bindparam("at")) & (tag.key == bindparam("name"))
            self.connection.execute(delete(tag.__table__).where(same), gone)
        rows = []
        for place, entry in batch:
            first = {**entry.own, NAME: entry.name} if place.mlflow_id in new else {}
            rows += [
                {"key": key, "value": value, "run_uuid": place.mlflow_id}
                for key, value in (first | dict(entry.tags)).items()
            ]
        if rows:
            statement = self.insert(tag)
            statement = statement.on_conflict_do_update(
                index_elements=["key", "run_uuid"], set_={"value": statement.excluded.value}
            )
            self.connection.execute(statement, rows)

    def params(self, batch: Batch) -> None:
        """Params; one that is there already stays."""
        rows = [
            {"key": key, "value": value, "run_uuid": place.mlflow_id}
            for place, entry in batch
            for key, value in entry.params.items()
        ]
        self._add(self.models.SqlParam, rows)

    def metrics(self, batch: Batch) -> None:
        """Points, each once, and of each metric its latest: by step, then time, then value."""
        from sqlalchemy import tuple_

        rows, latest = [], []
        for place, entry in batch:
            at = place.mlflow_id
            last: dict[str, tuple[int, int, float]] = {}
            for name, value, time, step in entry.points:
                rows.append(
                    {"key": name, "value": value, "timestamp": time, "step": step, "is_nan": False,
                     "run_uuid": at}
                )  # fmt: skip
                place_in_time = (step, time, value)
                if name not in last or place_in_time > last[name]:
                    last[name] = place_in_time
            latest += [
                {"key": name, "value": value, "timestamp": time, "step": step, "is_nan": False,
                 "run_uuid": at}
                for name, (step, time, value) in last.items()
            ]  # fmt: skip
        self._add(self.models.SqlMetric, rows)
        if latest:
            table = self.models.SqlLatestMetric
            statement = self.insert(table)
            new = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=["key", "run_uuid"],
                set_={name: new[name] for name in ("value", "timestamp", "step", "is_nan")},
                where=tuple_(new.step, new.timestamp, new.value)
                > tuple_(table.step, table.timestamp, table.value),
            )
            self.connection.execute(statement, latest)

    def datasets(self, batch: Batch) -> None:
        """The data of each run: entered once an experiment, and linked to the run once."""
        from sqlalchemy import select

        given = [(place.mlflow_id, data) for place, entry in batch for data in entry.datasets]
        if not given:
            return
        known = self._known_datasets([data for _, data in given])
        link = self.models.SqlInput
        there: Any = select(link.source_id, link.destination_id).where(
            link.source_type == "DATASET", link.destination_type == "RUN",
            link.destination_id.in_([run for run, _ in given]),
        )  # fmt: skip
        linked = {tuple(row) for row in self.connection.execute(there)}
        wanted = dict.fromkeys((known[data["name"], data["digest"]], run) for run, data in given)
        fresh = [
            {"input_uuid": uuid.uuid4().hex, "source_type": "DATASET", "source_id": source,
             "destination_type": "RUN", "destination_id": run}
            for source, run in wanted if (source, run) not in linked
        ]  # fmt: skip
        self._add(link, fresh)
        labels = [
            {"input_uuid": one["input_uuid"], "name": "mlflow.data.context", "value": "training"}
            for one in fresh
        ]
        self._add(self.models.SqlInputTag, labels)

    def _known_datasets(self, given: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], str]:
        """(name, digest) -> id in this experiment of these data, entered where they are new."""
        from sqlalchemy import select

        table = self.models.SqlDataset
        wanted = {(data["name"], data["digest"]): data for data in given}
        ask: Any = select(table.name, table.digest, table.dataset_uuid).where(
            table.experiment_id == self.experiment,
            table.digest.in_([digest for _, digest in wanted]),
        )

        def known() -> dict[tuple[str, str], str]:
            return {(name, digest): one for name, digest, one in self.connection.execute(ask)}

        there = known()
        new = [
            {"dataset_uuid": uuid.uuid4().hex, "experiment_id": self.experiment, "name": name,
             "digest": digest, "dataset_source_type": "local", "dataset_source": data["source"],
             "dataset_schema": None, "dataset_profile": data["profile"]}
            for (name, digest), data in wanted.items()
            if (name, digest) not in there
        ]  # fmt: skip
        self._add(table, new)
        return known() if new else there
