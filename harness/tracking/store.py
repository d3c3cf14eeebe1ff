"""One experiment in one MLflow store, written through MLflow's own client.

`opening.open_store` gives the quickest writer that a store allows: `tables.TableStore` for a
database that is opened directly, this module's `Store` for everything else.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import ConfigError
from harness.tracking import owners
from harness.tracking.addresses import lock_seconds
from harness.tracking.artifacts import local_folder, put_files
from harness.tracking.client import PAGE
from harness.tracking.entries import Found, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mlflow import MlflowClient

    from harness.tracking.entries import Entry

T = TypeVar("T")
LOCKED_SECONDS = 90.0  # how long a locked database is waited for; one try takes up to 20 s itself
LOCKED = ("database is locked", "TEMPORARILY_UNAVAILABLE", "database table is locked")
KIND = "custom_model_development"  # MLflow's pages for training, not those for language models
TWICE = ("UNIQUE constraint failed", "duplicate key value")
CONNECTIONS = 4  # requests to a server that are under way at once; more wait there for each other


class Store:
    """Every method may raise what MLflow raises."""

    def __init__(
        self, client: MlflowClient, uri: str, experiment: str, artifacts: str | None, note: str
    ) -> None:
        self.client, self.uri = client, uri
        self.remote = uri.startswith(("http", "databricks", "uc"))
        self._patience = lock_seconds(uri, LOCKED_SECONDS)
        found = self.call(lambda: self._experiment(experiment, artifacts, note))
        self.experiment_id = str(found.experiment_id)
        self.artifact_location = str(found.artifact_location)

    @property
    def takes_files(self) -> bool:
        """Whether an artifact is a file in a folder of this machine: cheap enough for one a run."""
        folder = local_folder(self.artifact_location)
        return folder is not None and (not self.remote or folder.parent.is_dir())

    def call(self, what: Callable[[], T]) -> T:
        """what(), tried again for a while where the database was locked by another writer."""
        until = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return what()
            except Exception as error:
                if not any(sign in str(error) for sign in LOCKED) or time.monotonic() > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _experiment(self, name: str, artifacts: str | None, note: str) -> Any:
        from mlflow.exceptions import MlflowException

        found: Any = self.client.get_experiment_by_name(name)
        if found is None:
            where = f"{artifacts}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}" if artifacts else None
            tags = {"mlflow.note.content": note, "mlflow.experimentKind": KIND}
            with contextlib.suppress(MlflowException):  # another process was faster
                self.client.create_experiment(name, artifact_location=where, tags=tags)
            found = self.client.get_experiment_by_name(name)
            if found is None:
                self.client.create_experiment(name, artifact_location=where, tags=tags)
                found = self.client.get_experiment_by_name(name)
        if found.lifecycle_stage != "active":
            raise ConfigError(
                f"tracking.experiment is '{name}', which was deleted in MLflow; restore it with "
                f"`mlflow experiments restore -x {found.experiment_id}` or choose another name."
            )
        return found

    # what is there

    def find(self, **tags: str) -> list[Any]:
        """Active runs that carry these tags (names with __ for .), oldest first."""
        words = " and ".join(f"tags.`{k.replace('__', '.')}` = '{v}'" for k, v in tags.items())
        return self._search(words)

    def children(self, sweep_id: str) -> list[Found]:
        """Active runs of a sweep, whichever parent they have, oldest first."""
        return [found_of(run) for run in self.find(harness__kind="run", harness__sweep_id=sweep_id)]

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

    # writing

    def put(self, runs: Sequence[tuple[Place | None, Entry]]) -> list[Place | Exception]:
        """Bring runs to what their entries say; one place or error each, in order.

        place None: a new run. Safe to repeat: what is there already is not doubled. After an
        error that is the store's, not one run's, the rest are not tried.
        """
        if not self.remote:
            return self._put_all(runs, map)
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="mlflow-request") as pool:
            return self._put_all(runs, pool.map)

    def _put_all(
        self, runs: Sequence[tuple[Place | None, Entry]], over: Callable[..., Any]
    ) -> list[Place | Exception]:
        failed: list[Exception] = []

        def one(pair: tuple[Place | None, Entry]) -> Place | Exception:
            if failed:
                return failed[0]
            try:
                return self._put(*pair)
            except Exception as error:  # noqa: BLE001 - whatever MLflow raises is handed back
                failed.append(error)
                return error

        return list(over(one, runs))

    def _put(self, place: Place | None, entry: Entry) -> Place:
        """At most three requests for a usual run: created, filled, ended."""
        begun = place is not None
        if place is None:
            run = self.call(
                lambda: self.client.create_run(
                    self.experiment_id, start_time=entry.start_ms, tags=dict(entry.own),
                    run_name=entry.name,
                )
            )  # fmt: skip
            place = Place(mlflow_id=run.info.run_id, artifact_uri=run.info.artifact_uri)
        elif entry.reopen and entry.end is None:
            self.call(lambda: self.client.update_run(place.mlflow_id, status="RUNNING"))
        fixed: Collection[str] = ()
        if begun and entry.reopen and entry.params:  # a param is written once; it keeps its value
            fixed = self.call(lambda: self.client.get_run(place.mlflow_id)).data.params
        self._log(place.mlflow_id, entry, fixed)
        for key in set(entry.without).difference(entry.tags):
            self._untag(place.mlflow_id, key)
        for data in entry.datasets:
            self._log_dataset(place.mlflow_id, **data)
        self.put_files(place, entry.files)
        if entry.end is not None:
            self.end(place, entry.status, entry.end)
        return place

    def _log(self, run: str, entry: Entry, fixed: Collection[str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, value, at, step) for name, value, at, step in entry.points]
        pairs = [Param(key, value) for key, value in entry.params.items() if key not in fixed]
        labels = [RunTag(key, value) for key, value in entry.tags.items()]
        while metrics or pairs or labels:  # a request holds 1,000 entities, 100 params, 100 tags
            head, metrics = metrics[:800], metrics[800:]
            some, pairs = pairs[:100], pairs[100:]
            few, labels = labels[:100], labels[100:]
            self.call(lambda m=head, p=some, t=few: self.client.log_batch(run, m, p, t))  # type: ignore[misc]

    def _log_dataset(self, run: str, *, name: str, digest: str, source: str, profile: str) -> None:
        """The data a run was trained on, as MLflow shows it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name, digest, "local", source, None, profile)
        entry = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
        for last in (False, False, True):
            try:
                self.call(lambda: self.client.log_inputs(run, [entry]))
                return
            except Exception as error:
                if last or not any(sign in str(error) for sign in TWICE):
                    raise  # otherwise another writer entered the same data just before: now found

    def _untag(self, run: str, key: str) -> None:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # absent is fine
            self.client.delete_tag(run, key)

    def put_files(self, place: Place, files: Mapping[str, bytes]) -> None:
        """Add files (name -> content) to a run's artifacts; the same name is replaced."""
        put_files(place.artifact_uri, files, self.uri)

    def tag(self, places: Sequence[Place], tags: Mapping[str, str]) -> None:
        """Set tags of runs."""
        from mlflow.entities import RunTag

        labels = [RunTag(key, value) for key, value in tags.items()]
        for place in places:
            self.call(lambda run=place.mlflow_id: self.client.log_batch(run, tags=labels))  # type: ignore[misc]

    def end(self, place: Place, status: str, end_ms: int) -> None:
        """Close a run: FINISHED, FAILED or KILLED."""
        self.call(lambda: self.client.set_terminated(place.mlflow_id, status, end_ms))

    def delete(self, place: Place) -> None:
        """Mark a run deleted (MLflow keeps it until `mlflow gc`)."""
        self.call(lambda: self.client.delete_run(place.mlflow_id))

    def settle(self) -> int:
        """Close runs left RUNNING by processes of this machine that are dead; how many."""
        count = 0
        running = "attributes.status = 'RUNNING'"
        mine = f"tags.`{owners.TAG}` LIKE '{socket.gethostname()}:%'"
        for run in self._search(f"{running} and {mine}"):
            if owners.lives(run.data.tags[owners.TAG]):
                continue
            own = f"{running} and tags.`mlflow.parentRunId` = '{run.info.run_id}'"
            for stale in [*self._search(own), run]:
                self.end(found_of(stale).place, "KILLED", time.time_ns() // 1_000_000)
                count += 1
        return count


def found_of(run: Any) -> Found:
    """A run as MLflow's client gives it."""
    return Found(
        place=Place(mlflow_id=str(run.info.run_id), artifact_uri=str(run.info.artifact_uri)),
        run_id=run.data.tags.get("harness.run_id", ""),
        status=str(run.info.status),
        parent_id=run.data.tags.get("mlflow.parentRunId"),
    )
