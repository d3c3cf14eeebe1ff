"""MLflow's own client, quiet: no telemetry, no tracebacks of its own, no folders made by mistake.

mlflow itself (two seconds to import) is imported inside functions, after telemetry is switched off.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000  # runs a search returns at once
ENVIRONMENT = {  # only where the user has not said otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # its client prints the address of every run on stdout, with the password that stands in it
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def quiet_mlflow() -> None:
    """Telemetry off, and no tracebacks or migration notes of MLflow's own in the terminal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - its import sets the loggers up, so that it comes first

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow.store.db import utils

    if hasattr(utils, "_make_parent_dirs_if_sqlite"):
        # it makes a SQLite file's folder from the undecoded address: "run%20x" for "run x"
        anything: Any = utils
        anything._make_parent_dirs_if_sqlite = lambda _uri: None


def open_client(uri: str) -> MlflowClient:
    """A client of the store at an absolute address (see addresses.store_address)."""
    quiet_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri)
