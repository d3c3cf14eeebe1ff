"""A search as the ledger keeps it: its space, the trials of each batch, and what each was worth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.records.durable import DamagedError, make_folder, replace_file, seal, unseal

Value = float | int | str
FOLDER = "searches"


@dataclass
class Trial:
    """One point of the space: its settings, its runs, and the mean of their yardstick.

    value: None until the batch is trained; inf where a run diverged or has none.
    """

    params: dict[str, Value]
    runs: list[str] = field(default_factory=list)
    value: float | None = None

    @property
    def worth(self) -> float:
        """Its value, inf where it has none (yet)."""
        return math.inf if self.value is None else self.value


@dataclass
class Study:
    """A search so far. batches: lists of trials, in the order in which they were asked for.

    dimensions: what was searched, plain (key, choices, low, high, step, log). importances: share of
    the yardstick's variance that each setting explains, once it is known.
    """

    name: str
    path: Path
    metric: str = ""
    sweep_id: str | None = None
    batches: list[list[Trial]] = field(default_factory=list)
    dimensions: Sequence[Mapping[str, Any]] = ()
    importances: Mapping[str, float] = field(default_factory=dict)

    @property
    def trials(self) -> list[Trial]:
        """Every trial, in order."""
        return [trial for batch in self.batches for trial in batch]

    @property
    def told(self) -> list[Trial]:
        """Those with a value."""
        return [trial for trial in self.trials if trial.value is not None]

    def best_so_far(self) -> list[float]:
        """Lowest value among the first 1, 2, ... trials that have one; inf until one is finite."""
        out: list[float] = []
        for trial in self.told:
            out.append(min(trial.worth, out[-1] if out else math.inf))
        return out

    def best(self) -> Trial | None:
        """The first trial of the lowest value; None where every one diverged."""
        found = min(self.told, key=lambda trial: trial.worth, default=None)
        return found if found is not None and math.isfinite(found.worth) else None

    def save(self) -> None:
        """Write it durably, in place of what was there."""
        make_folder(self.path.parent)
        # the ledger clears its scratch folder of what a killed writer left
        replace_file(self.path, seal(self.to_plain()), make_folder(self.path.parents[1] / "tmp"))

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name, "metric": self.metric, "sweep_id": self.sweep_id,
            "dimensions": [dict(one) for one in self.dimensions],
            "importances": dict(self.importances),
            "batches": [
                [{**dataclasses.asdict(t), "value": _to_text(t.value)} for t in batch]
                for batch in self.batches
            ],
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], path: Path = Path()) -> Study:
        """The study of `to_plain`, or of an earlier version that kept no dimensions."""
        batches = [
            [
                Trial(t["params"], t["runs"], None if t["value"] is None else float(t["value"]))
                for t in batch
            ]
            for batch in plain["batches"]
        ]
        shares = plain.get("importances", {})
        shares = {key: shares[key] for key in sorted(shares, key=lambda k: -shares[k])}
        return cls(
            plain["name"], path, plain["metric"], plain["sweep_id"], batches,
            plain.get("dimensions", ()), shares,
        )  # fmt: skip


def _to_text(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value


def open_study(folder: Path, name: str) -> Study:
    """The study of this name under a ledger, new where there is none; damaged ones begin anew."""
    path = folder / FOLDER / f"{name}.json"
    return read_study(path) or Study(name, path)


def studies(folder: Path) -> Iterator[Study]:
    """Every study that a ledger holds."""
    for path in sorted((folder / FOLDER).glob("*.json")):
        found = read_study(path)
        if found is not None:
            yield found


def study_of(folder: Path, sweep_id: str) -> Study | None:
    """The search that made this sweep, if one did."""
    return next((one for one in studies(folder) if one.sweep_id == sweep_id), None)


def read_study(path: Path) -> Study | None:
    """The study in a file; None where there is none, or a damaged one."""
    try:
        return Study.from_plain(unseal(path.read_bytes()), path)
    except (FileNotFoundError, DamagedError):
        return None
