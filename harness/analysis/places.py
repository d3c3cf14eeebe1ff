"""Where runs and sweeps are looked for: a ledger, an MLflow store, or one after the other.

One rule for every verb and function: what is named is looked at and nothing else. With a ledger
named no other store is asked; with an address alone no ledger is; with neither ./runs comes first,
then MLflow where MLFLOW_TRACKING_URI says, or ./mlflow.db.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.records.ledger import Ledger

if TYPE_CHECKING:
    from harness.tracking.reader import MlflowReader

DEFAULT = "runs"
Folder = Ledger | str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Places:
    """A ledger, None where there is none to look in, and whether MLflow may be asked, at `uri`."""

    ledger: Ledger | None
    mlflow: bool = True
    uri: str | None = None

    def store(self) -> MlflowReader:
        """The MLflow store; ConfigError where none may be asked, or there is none."""
        from harness.tracking.reader import MlflowReader

        if not self.mlflow and self.ledger is not None:
            raise ConfigError(f"{self.ledger.root} alone is looked at, as it was named")
        return MlflowReader(self.uri)

    @property
    def words(self) -> str:
        """The ledger in words: "in /home/me/runs", or "here"."""
        there = self.ledger is not None and self.ledger.root.is_dir()
        return f"in {self.ledger.root}" if there and self.ledger else "here"


def places(ledger: Folder | None = None, uri: str | None = None) -> Places:
    """The places that these arguments of a function, or flags of a verb, mean."""
    if ledger is not None:
        home = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        return Places(ledger=home, mlflow=uri is not None, uri=uri)
    if uri is not None:
        return Places(ledger=None, uri=uri)
    return Places(ledger=Ledger(DEFAULT) if Path(DEFAULT).is_dir() else None)
