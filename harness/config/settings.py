"""Settings of the surroundings: where results are kept and shown. None of them changes a number.

They stand outside `config.RunConfig` on purpose: a run's id and its saved config do not hold them,
so a password in a tracking address is never written beside a run.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.config.fields import check, knob
from harness.errors import ConfigError, shown
from harness.paths import check_path


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
        "all", one_of=("all", "best"), numeric=False,
        help="whose weights stay on disk once a sweep is done",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check("ledger.", self)
        if not self.dir.strip():
            raise ConfigError("ledger.dir is empty; it must name a folder, such as runs.")
        check_path("ledger.dir", self.dir)
