"""A project folder that was moved or copied: MLflow's database names its artifacts by full paths.

Unmended, every artifact is out of reach and new ones would make the old folder again. Only the
addresses that harness chose itself, mlartifacts beside the SQLite file, are looked at.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.errors import HarnessError
from harness.tracking.artifacts import local_folder

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "mlartifacts"
COLUMNS = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"), ("model_versions", "source"),
    ("model_versions", "storage_location"),
)  # fmt: skip


class MovedError(HarnessError):
    """The store's artifacts are beside it, and its database looks for them elsewhere."""


def moved_from(path: Path) -> dict[str, Path]:
    """Address prefix -> folder of every place that a SQLite store's artifacts were at before.

    Empty where all is where the database says, and where there is no such database.
    """
    if not path.is_file():
        return {}
    read_only = f"file:{quote(str(path))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(read_only, uri=True)) as base:
            rows = base.execute("SELECT artifact_location FROM experiments").fetchall()
    except sqlite3.Error:  # what is wrong with it is said where it is opened
        return {}
    found = {}
    for (address,) in rows:
        folder = local_folder(address or "")
        if folder is None or folder.parent.name != FOLDER:
            continue
        home = folder.parent.parent
        here = path.parent / FOLDER / folder.name
        same = home.resolve() == path.parent.resolve()
        if not same and (here.is_dir() or not folder.parent.exists()):
            found[address.rpartition("/")[0]] = home
    return found


def check_in_place(path: Path) -> None:
    """MovedError where a SQLite store's artifacts were moved with it."""
    for home in moved_from(path).values():
        raise MovedError(
            f"{path} was at {home} before, where it still looks for its artifacts; `harness sync` "
            "mends that."
        )


def mend(path: Path) -> list[Path]:
    """Make the addresses of artifacts name the folder beside a SQLite store; the old folders."""
    moved = moved_from(path)
    if not moved:
        return []
    here = (path.parent / FOLDER).as_uri()
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as base, base:
        for old in moved:
            for table, column in COLUMNS:
                with contextlib.suppress(sqlite3.OperationalError):  # of another version's schema
                    base.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                        f"WHERE substr({column}, 1, ?) = ?",
                        (here, len(old) + 1, len(old) + 1, f"{old}/"),
                    )
    return list(moved.values())
