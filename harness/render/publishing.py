"""Where a report goes: a file on disk, and the artifacts of the sweep's parent run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.places import places
from harness.analysis.sources import read_sweep
from harness.errors import ConfigError, HarnessError
from harness.render.console import say

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable

ARTIFACT = "report.html"  # its name among the parent's artifacts


def publish(
    selectors: Sequence[str],
    out: str | None = None,
    *,
    ledger: str | None = None,
    uri: str | None = None,
) -> int:
    """Read sweeps, write their report to a file and to MLflow; prints the file's path. Exit code 0.

    out: default report-SWEEP.html here. ConfigError for a sweep or folder that is not there;
    a store that cannot be reached costs a warning, not the report.
    """
    table = read_sweep(list(selectors) or ["newest"], ledger=ledger, uri=uri)
    name = str(table.meta.get("sweep_id") or "runs")[:8]
    path = Path(out) if out else Path(f"report-{name}.html")
    if path.is_dir() or not path.suffix:
        raise ConfigError(f"-o is {str(path)!r}; it must be a file, such as {path / ARTIFACT}.")
    from harness.render import report  # matplotlib: loaded once the sweep is known to be there

    report.write(table, path)
    whole = len(table.meta.get("sweeps", [None])) == 1 and "part_of" not in table.meta
    if whole:
        try:
            store(table, path, uri=uri)
        except HarnessError as error:
            if places(ledger, uri).mlflow:  # beside a ledger that was named a store is no must
                say(f"the report is not among the artifacts in MLflow: {error}")
    print(path)
    return 0


def store(table: SweepTable, path: Path, *, uri: str | None = None) -> str:
    """Copy a report to the sweep's parent run as report.html; returns that run's id in MLflow.

    HarnessError where there is no such store or parent, or where it takes no files.
    """
    from harness.tracking.reader import MlflowReader

    reader = MlflowReader(uri)
    wanted = str(table.meta.get("sweep_id"))
    single = table.meta.get("kind") == "single"
    tag, every = ("harness.run_id", reader.singles()) if single else (
        "harness.sweep_id", reader.parents()
    )  # fmt: skip
    parents = [run for run in every if run.data.tags[tag] == wanted]
    if not parents:
        what = f"run {wanted} is" if single else f"sweep {wanted} has no parent run"
        raise HarnessError(f"{what} {'not ' if single else ''}there; `harness sync` writes it.")
    run_id = str(parents[0].info.run_id)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        copy = Path(folder, ARTIFACT)
        copy.write_bytes(path.read_bytes())
        try:
            reader.client.log_artifact(run_id, str(copy))
        except Exception as error:
            raise HarnessError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    return run_id
