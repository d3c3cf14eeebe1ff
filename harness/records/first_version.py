"""Records as the first version kept them: a folder a run, with four files. They are read only.

    records/<run_id>/record.json, curves.parquet, weights.safetensors, config.yaml

record.json is sealed and holds the checksums of curves and weights; config.yaml is a copy for
people. Whatever changes such a record (see archive) puts it into a bundle and removes the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.records import durable
from harness.records.bundle import Entry
from harness.records.curves import pack_curves
from harness.records.durable import DamagedError, LedgerError
from harness.records.record import CURVES, WEIGHTS, read_curves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORMAT = 1
HEAD = "record.json"


@dataclass(frozen=True)
class OldRecord:
    """The folder of one run, read as a bundle of one is."""

    path: Path
    damage: str = ""

    def generations(self) -> dict[str, int]:
        """run_id -> a generation below every bundle's, so that a newer record counts."""
        return {self.path.name: -1}

    def entries(
        self, run_ids: Iterable[str], *, curves: bool = True, weights: bool = True
    ) -> Iterator[tuple[str, Entry | DamagedError]]:
        """The run's entry, or what is wrong with it; only what is read is verified."""
        for run_id in run_ids:
            try:
                yield run_id, self._entry(curves=curves, weights=weights)
            except DamagedError as reason:
                yield run_id, reason

    def size(self, run_id: str) -> int:
        """Bytes of the run's files."""
        del run_id
        return sum(path.stat().st_size for path in self.path.iterdir())

    def _entry(self, *, curves: bool, weights: bool) -> Entry:
        head = self._head()
        sums, dropped = head["files"], head["dropped"]
        kept = WEIGHTS in sums and WEIGHTS not in dropped
        return Entry(
            plain=head["record"],
            curves=pack_curves(read_curves(self._file(CURVES, sums))) if curves else b"",
            weights=self._file(WEIGHTS, sums) if weights and kept else None,
            weights_sum=(sums[WEIGHTS]["bytes"], sums[WEIGHTS]["sha256"])
            if WEIGHTS in sums
            else None,
        )

    def _head(self) -> dict[str, Any]:
        try:
            head = durable.unseal((self.path / HEAD).read_bytes())
        except FileNotFoundError:
            raise self._missing(HEAD) from None
        except DamagedError as reason:
            raise DamagedError(f"{HEAD}: {reason}") from None
        if head["format"] > FORMAT:
            raise LedgerError(
                f"{self.path} was written by a newer version of harness; update this one."
            )
        if head["record"]["run_id"] != self.path.name:
            raise DamagedError(f"it holds run {head['record']['run_id']}")
        return head

    def _file(self, name: str, sums: dict[str, Any]) -> bytes:
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            raise self._missing(name) from None
        if durable.digest(content) != sums[name]["sha256"]:
            raise DamagedError(f"{name}: its checksum does not match")
        return content

    def _missing(self, name: str) -> Exception:
        """Damage where the folder is there; where it is not, somebody has removed the record."""
        if self.path.is_dir():
            return DamagedError(f"{name} is missing")
        return FileNotFoundError(self.path)
