"""One MLflow store, spoken to in as few calls as it allows. Only `tracking` uses this module.

mlflow itself (two seconds to import) is imported inside functions, after telemetry is switched off.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import socket
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import ConfigError
from harness.paths import check_path
from harness.records.durable import alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
_SECRET = re.compile(  # a parameter of an address whose name says that its value is secret
    r"([?&][\w.-]*(?:password|passwd|pwd|secret|token|signature|credential|key)[\w.-]*=)[^&\s'\"]+",
    re.IGNORECASE,
)
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "uc")
LOCKED_SECONDS = 90.0  # how long a locked database is waited for; one try takes up to 20 s itself
LOCKED = ("database is locked", "TEMPORARILY_UNAVAILABLE", "database table is locked")
KIND = "custom_model_development"  # MLflow's pages for training, not those for language models
TWICE = ("UNIQUE constraint failed", "duplicate key value")
PAGE = 1000  # runs a search returns at once
ENVIRONMENT = {  # only where the user has not said otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # its client prints the address of every run on stdout, with the password that stands in it
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def store_address(uri: str | None) -> str:
    """The absolute tracking address: the setting, else MLFLOW_TRACKING_URI, else ./mlflow.db.

    ConfigError for an address MLflow 3 has no store for (plain folders among them).
    """
    given = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    scheme, _, rest = given.partition(":")
    where = "tracking.uri" if uri else "MLFLOW_TRACKING_URI"
    if scheme.partition("+")[0] not in SCHEMES or not rest:
        raise ConfigError(
            f"{where} is '{redacted(given)}'; allowed: sqlite:///FILE.db, postgresql://..., "
            "mysql://..., http(s)://SERVER. For a file beside you: sqlite:///mlflow.db."
        )
    if scheme == "sqlite" and rest.startswith("///") and rest != "///:memory:":
        path = Path(rest[3:]).absolute()
        _check_file(where, path)
        return f"sqlite:///{path}"
    return given


def _check_file(where: str, path: Path) -> None:
    """ConfigError for a file that is there and no SQLite database: it is never written into."""
    check_path(where, str(path))
    try:
        if not path.exists():
            return
        begin = b""
        if path.is_file():
            with path.open("rb") as file:
                begin = file.read(16)
    except OSError as error:
        raise ConfigError(
            f"{where} names {path}, which cannot be read: {error.strerror}."
        ) from None
    if not path.is_file() or begin not in (b"", b"SQLite format 3\x00"):
        raise ConfigError(
            f"{where} names {path}, which is no SQLite database; allowed: one that MLflow made, or "
            "a name that is not taken yet."
        )


def redacted(text: str) -> str:
    """The text with every password in an address (user:password@, ?password=...) as ***."""
    text = re.sub(r"(://[^/:@\s]*):(?!\d+/)[^\s'\"]*@", r"\1:***@", text)
    return _SECRET.sub(r"\1***", text)


def sqlite_file(uri: str) -> Path | None:
    """The file behind a SQLite address, None for any other store."""
    return Path(uri[10:]) if uri.startswith("sqlite:///") else None


def quiet_mlflow() -> None:
    """Telemetry off, and no tracebacks or migration notes of MLflow's own in the terminal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - its import sets the loggers up, so that it comes first

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def create_sqlite(path: Path, artifacts: str) -> None:
    """Make a fresh SQLite store, whole or not at all, however many processes try at once.

    MLflow's own creation breaks for good when two processes do it together or one is killed in
    it, so it happens under another name that is then linked into place. Write-ahead logging makes
    a run's writing two to three times as fast and lets the UI read meanwhile.
    """
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network folders have no locks; the link decides
            fcntl.flock(folder, fcntl.LOCK_EX)
        for old in path.parent.glob(f"{path.name}.*.new*"):
            pid = old.name[len(path.name) + 1 :].split(".")[0]
            if pid.isdigit() and not alive(int(pid)):
                old.unlink(missing_ok=True)
        if path.exists():
            return
        part = path.with_name(f"{path.name}.{os.getpid()}.new")
        make: Any = SqlAlchemyStore
        make(f"sqlite:///{part}", artifacts).engine.dispose()
        with contextlib.closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
        os.fsync(folder)
    finally:
        os.close(folder)


class Store:
    """An experiment in one MLflow store. Every call may raise what MLflow raises."""

    def __init__(self, uri: str, experiment: str, artifacts: str | None, note: str) -> None:
        quiet_mlflow()
        from mlflow import MlflowClient

        self.uri = uri
        path = sqlite_file(uri)
        if artifacts is None and path is not None:
            artifacts = (path.parent / "mlartifacts").as_uri()
        elif artifacts is not None and "://" not in artifacts:
            artifacts = Path(artifacts).absolute().as_uri()
        if path is not None:
            create_sqlite(path, artifacts or "")
        self.client = MlflowClient(uri)
        self.experiment_id = self.call(lambda: self._experiment(experiment, artifacts, note))

    def call(self, what: Callable[[], T]) -> T:
        """what(), tried again for a while where the database was locked by another writer."""
        until = time.monotonic() + LOCKED_SECONDS
        pause = 0.1
        while True:
            try:
                return what()
            except Exception as error:
                if not any(sign in str(error) for sign in LOCKED) or time.monotonic() > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _experiment(self, name: str, artifacts: str | None, note: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                where = (
                    f"{artifacts}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}" if artifacts else None
                )
                tags = {"mlflow.note.content": note, "mlflow.experimentKind": KIND}
                made: str = self.client.create_experiment(name, artifact_location=where, tags=tags)
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
            else:
                return made
        if found.lifecycle_stage != "active":
            raise ConfigError(
                f"tracking.experiment is '{name}', which was deleted in MLflow; restore it with "
                f"`mlflow experiments restore -x {found.experiment_id}` or choose another name."
            )
        return str(found.experiment_id)

    def find(self, **tags: str) -> list[Any]:
        """Active runs that carry these tags (names with _ for .), oldest first."""
        words = " and ".join(f"tags.`{k.replace('__', '.')}` = '{v}'" for k, v in tags.items())
        return self._search(words)

    def _search(self, words: str) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = self.call(
                lambda token=token: self.client.search_runs(  # type: ignore[misc]
                    [self.experiment_id], words, max_results=PAGE,
                    order_by=["attributes.start_time ASC"], page_token=token,
                )
            )  # fmt: skip
            found += page
            token = page.token
            if not token:
                return found

    def create(self, name: str, start_ms: int, tags: Mapping[str, str]) -> Any:
        """A new run with its tags in one call; returns MLflow's RunInfo."""
        run = self.call(
            lambda: self.client.create_run(
                self.experiment_id, start_time=start_ms, tags=dict(tags), run_name=name
            )
        )
        return run.info

    def log(
        self, run: str, *,
        points: Iterable[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Points (name, value, unix ms, step), params and tags in one call for a usual run."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, value, at, step) for name, value, at, step in points]
        pairs = [Param(key, value) for key, value in (params or {}).items()]
        labels = [RunTag(key, value) for key, value in (tags or {}).items()]
        rest: Sequence[Any] = metrics
        while True:  # a request holds 1,000 entities, 100 params, 100 tags
            head, rest = rest[:800], rest[800:]
            some, pairs = pairs[:100], pairs[100:]
            few, labels = labels[:100], labels[100:]
            if not (head or some or few):
                return
            self.call(lambda m=head, p=some, t=few: self.client.log_batch(run, m, p, t))  # type: ignore[misc]

    def log_dataset(self, run: str, *, name: str, digest: str, source: str, profile: str) -> None:
        """The data a run was trained on, as MLflow shows it (digest at most 36 characters)."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name[:500], digest[:36], "local", source, None, profile)
        entry = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
        for last in (False, False, True):
            try:
                self.call(lambda: self.client.log_inputs(run, [entry]))
                return
            except Exception as error:
                if last or not any(sign in str(error) for sign in TWICE):
                    raise  # otherwise another writer entered the same data just before: now found

    def put(self, info: Any, folder: Path) -> None:
        """Copy every file of a folder to a run's artifacts; the same name is replaced."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        to: Any = get_artifact_repository(info.artifact_uri, tracking_uri=self.uri)
        to.log_artifacts(str(folder))

    def end(self, run: str, status: str, end_ms: int) -> None:
        """Close a run: FINISHED, FAILED or KILLED."""
        self.call(lambda: self.client.set_terminated(run, status, end_ms))

    def reopen(self, run: str) -> None:
        """Mark a closed run as RUNNING again."""
        self.call(lambda: self.client.update_run(run, status="RUNNING"))

    def untag(self, run: str, key: str) -> None:
        """Remove a tag; absent is fine."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self.client.delete_tag(run, key)

    def delete(self, run: str) -> None:
        """Mark a run deleted (MLflow keeps it until `mlflow gc`)."""
        self.call(lambda: self.client.delete_run(run))

    def settle(self) -> int:
        """Close runs left RUNNING by processes of this machine that are dead; how many."""
        count = 0
        host = socket.gethostname()
        running = "attributes.status = 'RUNNING'"
        for run in self._search(f"{running} and tags.`harness.owner` LIKE '{host}:%'"):
            if _lives(run.data.tags["harness.owner"]):
                continue
            mine = f"{running} and tags.`mlflow.parentRunId` = '{run.info.run_id}'"
            for stale in [*self._search(mine), run]:
                self.end(stale.info.run_id, "KILLED", time.time_ns() // 1_000_000)
                count += 1
        return count


def owner() -> str:
    """Who writes a run, as its tag says: host:pid:start, the start telling equal pids apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start(os.getpid())}"


def _lives(tag: str) -> bool:
    """Whether the process behind an owner's tag, of this machine, still runs."""
    pid, _, start = tag.partition(":")[2].partition(":")
    if not pid.isdigit() or not alive(int(pid)):
        return not pid.isdigit()
    return not start or start == _start(int(pid))


def _start(pid: int) -> str:
    """When a process began, in the system's own ticks; empty where that cannot be told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
