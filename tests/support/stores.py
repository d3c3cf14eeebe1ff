"""MLflow stores for tests: a fresh one in no time, and what one holds, asked of the database."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy

from harness.tracking.creation import create_sqlite


@functools.cache
def _empty() -> Path:
    path = Path(tempfile.mkdtemp(prefix="harness-test-")) / "mlflow.db"
    create_sqlite(path, "")
    return path


def fresh_store(path: Path | str) -> None:
    """An empty SQLite store of MLflow's at a path: made once, then copied."""
    shutil.copy(_empty(), path)


def search(uri: str, words: str = "") -> list[Any]:
    """Runs that MLflow's own client finds, oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    ids = [e.experiment_id for e in client.search_experiments()]
    order = ["attributes.start_time ASC"]
    return list(client.search_runs(ids, words, order_by=order, max_results=1000))


def tables_of(uri: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of a database. Ids that MLflow draws are named by what they mean."""
    engine = sqlalchemy.create_engine(uri)
    found = sqlalchemy.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {
            name: [dict(row._mapping) for row in connection.execute(table.select())]
            for name, table in found.tables.items()
        }
    engine.dispose()
    meaning = _meaning(rows)

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            for drawn, name in meaning.items():
                value = value.replace(drawn, name)
        return value

    def row_text(row: dict[str, Any]) -> str:
        return repr(sorted(row.items()))

    return {
        name: sorted(({k: plain(v) for k, v in row.items()} for row in some), key=row_text)
        for name, some in rows.items()
    }


def _meaning(rows: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Ids drawn at random -> what they stand for: the run, the data set, the link of both."""
    tags: dict[str, dict[str, str]] = {}
    for row in rows["tags"]:
        tags.setdefault(row["run_uuid"], {})[row["key"]] = row["value"]
    out = {}
    for run in rows["runs"]:
        own = tags.get(run["run_uuid"], {})
        name = own.get("harness.run_id") or own.get("harness.sweep_id") or run["name"]
        out[run["run_uuid"]] = f"<{own.get('harness.kind')} {name} {own.get('harness.sweep_id')}>"
    for data in rows["datasets"]:
        out[data["dataset_uuid"]] = f"<data {data['name']} {data['digest']}>"
    for link in rows["inputs"]:
        source, destination = out.get(link["source_id"]), out.get(link["destination_id"])
        out[link["input_uuid"]] = f"<{source} to {destination}>"
    return out
