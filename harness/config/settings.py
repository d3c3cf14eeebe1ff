"""Settings of the surroundings: where runs are trained, kept and shown. None changes a number.

They stand outside `config.RunConfig` on purpose: a run's id and its saved config do not hold them,
so a password in a tracking address is never written beside a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.config.derived import brief
from harness.config.fields import check, knob
from harness.config.keys import OF_COMPONENTS, unnest
from harness.config.run import build
from harness.errors import ConfigError, shown
from harness.paths import check_path

FREE = (*OF_COMPONENTS, "tracking.tags.")  # prefixes of keys that no YAML of ours holds
SURROUNDINGS = ("tracking", "ledger", "halving")  # groups of settings that are no run's


@dataclass(frozen=True, kw_only=True, repr=False)
class Tracking:
    """What is written to MLflow. `uri` null: MLFLOW_TRACKING_URI, or else ./mlflow.db (SQLite)."""

    name: str = knob("mlflow", one_of=("mlflow", "off"), numeric=False)
    experiment: str = knob("harness", numeric=False)
    weights: str = knob("best", one_of=("best", "all", "none"), numeric=False)
    uri: str | None = knob(None, numeric=False)
    artifacts: str | None = knob(None, numeric=False)
    runs: str = knob("children", one_of=("children", "table"), numeric=False)
    run_name: str | None = knob(None, numeric=False)
    note: str | None = knob(None, numeric=False)
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)  # own tags, key -> text

    def __post_init__(self) -> None:
        if not self.name:  # an unquoted `off` in YAML
            object.__setattr__(self, "name", "off")
        check("tracking.", self)
        object.__setattr__(self, "tags", _own_tags(self.tags))
        for key, text, most in (("run_name", self.run_name, 240), ("note", self.note, 4000)):
            if text is not None and (not text.strip() or len(text) > most):
                raise ConfigError(
                    f"tracking.{key} is {shown(text)}; allowed: 1 to {most} characters, not all "
                    "blank, or null."
                )
        if self.runs == "table" and self.weights == "all":
            raise ConfigError(
                "tracking.weights is 'all' with tracking.runs=table, where runs have no artifacts "
                "of their own; allowed there: best, none."
            )
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

    def __repr__(self) -> str:
        return brief(self, secret=("uri", "artifacts"))  # an address may hold a password

    def kept(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What a sweep's manifest keeps of this, so that `harness sync` does as the sweep did.

        before: what it kept so far; name, note and tags stay where none are given now.
        """
        off = self.name == "off" and before  # MLflow is told of it as it was
        told: dict[str, Any] = {} if off else {name: getattr(self, name) for name in KEPT}
        own = {"run_name": self.run_name, "note": self.note, "tags": dict(self.tags)}
        return {**before, **told, **{key: value for key, value in own.items() if value}}


KEPT = ("name", "experiment", "weights", "runs")


def _own_tags(given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"tracking.tags is {shown(given)}; allowed: a mapping, such as "
            "tracking.tags.team=vision."
        )
    flat = unnest(given)  # a dot in a key nests on a command line
    for key, value in flat.items():
        if not re.fullmatch(r"[\w./: -]{1,250}", key):
            raise ConfigError(
                f"tracking.tags has the key {shown(key)}; allowed: up to 250 letters, digits, "
                "underscores, dashes, dots, slashes, colons and spaces."
            )
        if key.startswith(("mlflow.", "harness.")):
            raise ConfigError(
                f"tracking.tags.{key}: keys that begin with mlflow. or harness. have a meaning of "
                "their own; choose another."
            )
        if not isinstance(value, (str, int, float, bool)) or len(str(value)) > 5000:
            raise ConfigError(
                f"tracking.tags.{key} is {shown(value)}; allowed: up to 5,000 characters, a "
                "number, true or false."
            )
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in flat.items()
    }


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where finished runs are kept, and how often an unfinished one is saved."""

    dir: str = knob("runs", numeric=False)
    checkpoint_seconds: float = knob(
        30.0, low=0.0, high=1e6, unit="seconds between checkpoints", numeric=False,
    )  # fmt: skip
    weights: str = knob("all", one_of=("all", "best", "none"), numeric=False)

    def __post_init__(self) -> None:
        check("ledger.", self)
        if not self.dir.strip():
            raise ConfigError("ledger.dir is empty; it must name a folder, such as runs.")
        check_path("ledger.dir", self.dir)


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Whether a sweep drops its worse configurations on the way (successive halving)."""

    factor: int | None = knob(None, low=2, high=100, numeric=False)
    rungs: int = knob(3, low=1, high=20, numeric=False)

    def __post_init__(self) -> None:
        check("halving.", self)


@dataclass(frozen=True, kw_only=True)
class Search:
    """How `harness search` tries the points of a space. `trials` may be raised later."""

    trials: int = knob(64, low=1, high=100_000, unit="points of the space", numeric=False)
    batch: int | str = knob("auto", numeric=False)
    seed: int = knob(0, seed=True, numeric=False)
    sampler: str = knob("tpe", one_of=("tpe", "random", "qmc", "cmaes"), numeric=False)

    def __post_init__(self) -> None:
        batch = self.batch
        if batch != "auto" and (
            isinstance(batch, (bool, str)) or batch != int(batch) or not 1 <= batch <= 10_000
        ):
            raise ConfigError(
                f"search.batch is {shown(batch)}; allowed: auto, or a whole number from 1 to 10000."
            )
        object.__setattr__(self, "batch", 1)
        check("search.", self)
        object.__setattr__(self, "batch", batch)


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Which Ray cluster trains; the command runs on one of its nodes."""

    address: str | None = knob(None, numeric=False)

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

    cluster: str = knob("slurm", one_of=("slurm", "local", "debug"), numeric=False)
    partition: str | None = knob(None, numeric=False)
    minutes: float = knob(60.0, above=0.0, high=1e6, unit="minutes", numeric=False)
    cores: int = knob(1, low=1, high=1024, unit="cores", numeric=False)
    jobs: int = knob(100, low=1, high=10_000, unit="jobs of one array", numeric=False)

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
