"""Opening a store: made where it is a new SQLite file, with the quickest writer it allows."""

from __future__ import annotations

from pathlib import Path

from harness.tracking.addresses import sqlite_file
from harness.tracking.client import open_client
from harness.tracking.creation import create_sqlite
from harness.tracking.store import Store
from harness.tracking.tables import TableStore, writable_engine


def open_store(uri: str, experiment: str, artifacts: str | None, note: str) -> Store:
    """The store at an absolute address, made if it is a SQLite file that is not there yet.

    artifacts: folder or address for those of a new experiment; null: mlartifacts beside the SQLite
    file, here for another database, the server's own for a server.
    """
    path = sqlite_file(uri)
    beside = path.parent if path is not None else Path.cwd()
    if artifacts is None and not uri.startswith(("http", "databricks", "uc")):
        artifacts = (beside / "mlartifacts").as_uri()
    elif artifacts is not None and "://" not in artifacts:
        artifacts = Path(artifacts).absolute().as_uri()
    if path is not None:  # before the client, which would make it in its own, breakable way
        create_sqlite(path, artifacts or "")
    client = open_client(uri)
    engine = writable_engine(client)
    if engine is not None:
        return TableStore(engine, client, uri, experiment, artifacts, note)
    return Store(client, uri, experiment, artifacts, note)
