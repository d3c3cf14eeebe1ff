"""Settings of the surroundings: where runs are trained, kept and shown. None changes a number.

They stand outside `config.RunConfig` on purpose: a run's id and its saved config do not hold them,
so a password in a tracking address is never written beside a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.config.fields import check, knob
from harness.config.run import build
from harness.errors import ConfigError, shown
from harness.paths import check_path

SURROUNDINGS = ("tracking", "ledger")  # groups of settings that are no run's


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """What MLflow is told. `uri` null: MLFLOW_TRACKING_URI, or else ./mlflow.db (SQLite)."""

    name: str = knob("mlflow", one_of=("mlflow", "off"), numeric=False)
    experiment: str = knob("harness", numeric=False, help="the MLflow experiment's name")
    weights: str = knob(
        "best", one_of=("best", "all", "none"), numeric=False,
        help="which runs of a sweep keep their final weights in MLflow",
    )  # fmt: skip
    uri: str | None = knob(
        None, numeric=False, help="tracking address; null = MLFLOW_TRACKING_URI or ./mlflow.db"
    )
    artifacts: str | None = knob(
        None, numeric=False, help="artifact folder or address; null = ./mlartifacts on SQLite"
    )

    def __post_init__(self) -> None:
        if not self.name:  # an unquoted `off` in YAML
            object.__setattr__(self, "name", "off")
        check("tracking.", self)
        if not self.experiment.strip() or len(self.experiment) > 250:
            raise ConfigError(
                f"tracking.experiment has {len(self.experiment)} characters; "
                "allowed: 1 to 250, not all blank."
            )
        if not self.experiment.isprintable() or not self.experiment.strip(". "):
            raise ConfigError(
                f"tracking.experiment is {shown(self.experiment)}; allowed: a name of printable "
                "characters, not of dots alone."
            )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where finished runs are kept, and how often an unfinished one is saved."""

    dir: str = knob("runs", numeric=False, help="folder of the ledger")
    checkpoint_seconds: float = knob(
        30.0, low=0.0, high=1e6, unit="seconds between checkpoints", numeric=False
    )
    weights: str = knob(
        "all", one_of=("all", "best", "none"), numeric=False,
        help="whose weights stay on disk once a sweep is done; of the others, their checksums",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check("ledger.", self)
        if not self.dir.strip():
            raise ConfigError("ledger.dir is empty; it must name a folder, such as runs.")
        check_path("ledger.dir", self.dir)


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Which Ray cluster trains; the command runs on one of its nodes."""

    address: str | None = knob(
        None, numeric=False, help="null starts Ray on this machine; auto, or HOST:PORT, joins one"
    )

    def __post_init__(self) -> None:
        check("engine.ray.", self)
        if self.address in (None, "auto"):
            return
        host, _, port = str(self.address).rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            raise ConfigError(
                f"engine.ray.address is {shown(self.address)}; allowed: null (Ray on this "
                "machine), auto, or HOST:PORT of a cluster that this machine has joined (`ray "
                "start --address=HOST:PORT`). Ray's client (ray://) cannot stream results."
            )


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """How a sweep is cut into Slurm jobs."""

    cluster: str = knob(
        "slurm", one_of=("slurm", "local", "debug"), numeric=False,
        help="local: processes of this machine in place of jobs; debug: one after another",
    )  # fmt: skip
    partition: str | None = knob(None, numeric=False, help="null = the cluster's default")
    minutes: float = knob(
        60.0, above=0.0, high=1e6, unit="minutes a job may take; it goes on in the next",
        numeric=False,
    )  # fmt: skip
    cores: int = knob(1, low=1, high=1024, unit="cores a job", numeric=False)
    jobs: int = knob(100, low=1, high=10_000, unit="jobs of one array, at most", numeric=False)

    def __post_init__(self) -> None:
        check("engine.slurm.", self)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The groups under `engine` that say where chunks run, beside engine.executor."""

    ray: Ray = field(default_factory=Ray)
    slurm: Slurm = field(default_factory=Slurm)


CLUSTERS: Mapping[str, type] = {"ray": Ray, "slurm": Slurm}  # engine.NAME


def read_cluster(config: Mapping[str, Any]) -> Cluster:
    """The cluster settings of a composed config; ConfigError where one is wrong."""
    engine = config.get("engine")
    groups = engine if isinstance(engine, Mapping) else {}
    return Cluster(
        **{
            name: build(kind, f"engine.{name}.", groups.get(name) or {})
            for name, kind in CLUSTERS.items()
        }
    )


def own_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A composed config without the settings of its surroundings: what run_config takes."""
    own = {name: inner for name, inner in config.items() if name not in SURROUNDINGS}
    if isinstance(own.get("engine"), Mapping):
        own["engine"] = {k: v for k, v in own["engine"].items() if k not in CLUSTERS}
    return own
