"""One run as MLflow is to show it, and where in MLflow it is: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[str, float, int, int]  # name, value, unix ms, step


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a run in MLflow is to have when it has been written; what else it has stays.

    own: tags that a new run is created with, by which it is found again; tags, points and params
    come later, in one piece. status: RUNNING, FINISHED, FAILED or KILLED; end_ms: of one that
    has ended, null its start. datasets: name, digest, source and profile of each. files:
    artifacts by name.
    """

    name: str
    start_ms: int
    own: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    datasets: Sequence[Mapping[str, str]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    status: str = "RUNNING"
    end_ms: int | None = None
    reopen: bool = False  # it had ended before, and goes on
    without: tuple[str, ...] = ()  # tags that a run begun earlier may have, and loses

    @property
    def end(self) -> int | None:
        """When it ended, unix ms; None leaves it as it is, for a run that goes on."""
        return self.end_ms or (None if self.status == "RUNNING" else self.start_ms)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run is in MLflow."""

    mlflow_id: str
    artifact_uri: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run that MLflow has: run_id is harness's own id, parent_id MLflow's of its parent."""

    place: Place
    run_id: str
    status: str
    parent_id: str | None
