"""Artifacts of a run: plain files where they are kept in a folder, MLflow's own way elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping


def local_folder(uri: str) -> Path | None:
    """The folder behind an artifact address; None where it is no folder of this machine's."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return Path(uri) if uri.startswith("/") else None


def put_files(uri: str, files: Mapping[str, bytes], store: str) -> None:
    """Write files (name -> content) to a run's artifacts; the same name is replaced.

    uri: the run's artifact address; store: the tracking address, for a server that keeps them.
    HarnessError where they are kept in a place that cannot be reached from here.
    """
    if not files:
        return
    folder, served = local_folder(uri), store.startswith("http")
    if folder is not None:
        root = folder.parents[2]  # of the experiment's folder, of the run's, of "artifacts"
        if served and not root.is_dir():
            raise HarnessError(
                f"the server keeps artifacts in {root}, which is not on this machine; mount it "
                "here, or start the server with --serve-artifacts"
            )
        _write(folder, files)
        return
    if uri.startswith("mlflow-artifacts:") and not served:
        raise HarnessError(
            "an MLflow server keeps this experiment's artifacts; write through its http address, "
            "or into another tracking.experiment"
        )
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    to: Any = get_artifact_repository(uri, tracking_uri=store)
    with tempfile.TemporaryDirectory(prefix="harness-") as name:
        _write(Path(name), files)
        to.log_artifacts(name)


def remove_files(uri: str) -> None:
    """Take away what was put there for a run that was not written after all, where that is easy."""
    folder = local_folder(uri)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
