"""Many runs in one transaction, into MLflow's own tables of a database that is opened directly.

MLflow's client writes a run in some twenty statements, each committed by itself. The same rows go
into the same tables here by SQLAlchemy's `insert`, a batch of runs at a time. The tables are
MLflow's private matter, so that this happens only at revisions of its schema (`TESTED`) at which a
test has held every row of every table equal to the client's own; elsewhere the client writes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from harness.tracking.artifacts import remove_files
from harness.tracking.entries import Entry, Found, Place
from harness.tracking.rows import Rows
from harness.tracking.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow import MlflowClient
    from sqlalchemy import Engine

TESTED = ("dc11669786a5",)  # alembic revisions of MLflow's schema: 3.17
DIALECTS = ("sqlite", "postgresql")
BUSY_MS = 20_000  # as MLflow's own sessions


def writable_engine(client: MlflowClient) -> Engine | None:
    """The engine of a store whose tables may be written directly, else None."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    service: Any = client._tracking_client
    kind = type(service.store)
    if (kind.__module__, kind.__name__) != (
        "mlflow.store.tracking.sqlalchemy_store", "SqlAlchemyStore",
    ):  # fmt: skip
        return None
    engine: Engine = service.store.engine
    if engine.dialect.name not in DIALECTS:
        return None
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
            revisions = set(found)
    except SQLAlchemyError:
        return None
    return engine if revisions and revisions.issubset(TESTED) else None


class TableStore(Store):
    """A store that writes a batch of runs in one transaction: all of them or none."""

    def __init__(self, engine: Engine, *rest: Any) -> None:
        super().__init__(*rest)
        self.engine = engine

    def children(self, sweep_id: str) -> list[Found]:
        """Active runs of a sweep, whichever parent they have, oldest first."""
        from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
        from sqlalchemy import select
        from sqlalchemy.orm import aliased

        kind, sweep, run_id, parent = (aliased(SqlTag) for _ in range(4))

        def tagged(tag: Any, key: str, value: str | None = None) -> Any:
            same = (tag.run_uuid == SqlRun.run_uuid) & (tag.key == key)
            return same if value is None else same & (tag.value == value)

        query: Any = (
            select(
                SqlRun.run_uuid, SqlRun.artifact_uri, SqlRun.status,
                run_id.value.label("run_id"), parent.value.label("parent_id"),
            )
            .join(sweep, tagged(sweep, "harness.sweep_id", sweep_id))
            .join(kind, tagged(kind, "harness.kind", "run"))
            .join(run_id, tagged(run_id, "harness.run_id"))
            .outerjoin(parent, tagged(parent, "mlflow.parentRunId"))
            .where(SqlRun.lifecycle_stage == "active")
            .where(SqlRun.experiment_id == int(self.experiment_id))
            .order_by(SqlRun.start_time, SqlRun.run_uuid)
        )  # fmt: skip

        def ask() -> list[Found]:
            with self.engine.connect() as connection:
                rows = connection.execute(query).all()
            return [
                Found(
                    place=Place(mlflow_id=row.run_uuid, artifact_uri=row.artifact_uri),
                    run_id=row.run_id, status=row.status, parent_id=row.parent_id,
                )
                for row in rows
            ]  # fmt: skip

        return self.call(ask)

    def put(self, runs: Sequence[tuple[Place | None, Entry]]) -> list[Place | Exception]:
        """Bring runs to what their entries say, in one transaction; see Store.put."""
        places = [place or self._new_place() for place, _ in runs]
        batch = [(place, entry) for place, (_, entry) in zip(places, runs, strict=True)]
        new = [place for place, (old, _) in zip(places, runs, strict=True) if old is None]
        try:
            for place, entry in batch:  # before the rows: a run that is FINISHED has its files
                self.put_files(place, entry.files)
            self.call(lambda: self._write(batch, {place.mlflow_id for place in new}))
        except Exception as error:  # noqa: BLE001 - whatever MLflow raises is handed back
            for place in new:
                remove_files(place.artifact_uri)
            return [error] * len(runs)
        return list(places)

    def tag(self, places: Sequence[Place], tags: Mapping[str, str]) -> None:
        """Set tags of runs, in one transaction."""
        batch = [(place, Entry(name="", start_ms=0, tags=tags)) for place in places]
        self.call(lambda: self._transact(lambda rows: rows.tags(batch, set())))

    def _new_place(self) -> Place:
        from mlflow.utils.uri import append_to_uri_path

        name = uuid.uuid4().hex
        join: Any = append_to_uri_path
        where = join(self.artifact_location, name, "artifacts")
        return Place(mlflow_id=name, artifact_uri=where)

    def _write(self, batch: Sequence[tuple[Place, Entry]], new: set[str]) -> None:
        def all_of(rows: Rows) -> None:
            rows.runs([pair for pair in batch if pair[0].mlflow_id in new])
            rows.changes([pair for pair in batch if pair[0].mlflow_id not in new])
            rows.tags(batch, new)
            rows.params(batch)
            rows.metrics(batch)
            rows.datasets(batch)

        self._transact(all_of)

    def _transact(self, what: Callable[[Rows], None]) -> None:
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":  # what MLflow's own sessions say first
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MS}")
                # a transaction that begins by reading cannot wait for another writer later
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            what(Rows(connection, int(self.experiment_id)))
            connection.commit()
