"""A fresh SQLite store for MLflow, whole or not at all, however many processes make it at once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from harness import system
from harness.records.durable import alive
from harness.tracking.addresses import sqlite_address
from harness.tracking.client import quiet_mlflow

if TYPE_CHECKING:
    from pathlib import Path


def create_sqlite(path: Path, artifacts: str) -> None:
    """Make a fresh SQLite store at a path; one that is there is left alone.

    MLflow's own creation breaks for good when two processes do it together or one is killed in
    it, so it happens under another name that is then linked into place. Write-ahead logging makes
    a run's writing two to three times as fast and lets the UI read meanwhile.
    """
    if path.exists():
        return
    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network folders have no locks; the link decides
            system.lock(folder, wait=True)
        _sweep_up(path)
        if path.exists():
            return
        part = path.with_name(f"{path.name}.{os.getpid()}.new")
        make: Any = SqlAlchemyStore
        make(sqlite_address(part), artifacts).engine.dispose()
        with contextlib.closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
        os.fsync(folder)
    finally:
        os.close(folder)


def _sweep_up(path: Path) -> None:
    """Remove what processes that died in making the same store left behind."""
    for old in path.parent.iterdir():
        if not old.name.startswith(f"{path.name}."):
            continue
        pid, _, rest = old.name[len(path.name) + 1 :].partition(".")
        if pid.isdigit() and rest.startswith("new") and not alive(int(pid)):
            old.unlink(missing_ok=True)
