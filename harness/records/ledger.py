"""The truth on disk: every finished run as a durable, checksummed record.

    <dir>/records/<name>.runs                  records of runs that ended together (see bundle)
    <dir>/checkpoints/<run_id>.ckpt, <dir>/failures/<run_id>.json, <dir>/sweeps/<sweep_id>.json

A file is built under <dir>/tmp, synced and renamed into place, so killing the writer at any instant
leaves it whole or absent. Every byte is under a checksum; a run whose bytes do not match theirs is
set aside under <dir>/corrupt with a warning and counts as absent.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.config.run import Known
from harness.errors import ConfigError
from harness.records import durable
from harness.records.bundle import Entry, entry_of
from harness.records.durable import NAME, LedgerError, clear_errors
from harness.records.folder import LedgerFolder, no_id, only
from harness.records.manifests import SweepManifest
from harness.records.ranking import best_runs
from harness.records.record import RunRecord, read_weights, table_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from harness.records.record import Curve


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What removing a sweep takes away: runs removed, runs kept for other sweeps, bytes freed."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    bytes: int


class Ledger(LedgerFolder):
    """Finished runs and sweeps under one folder; checkpoints and failures too (LedgerFolder).

    Any number of processes may use one folder; the object is a path and can be sent to workers.
    """

    # records

    def has(self, run_id: str) -> bool:
        """Whether the run's record is there, as `finished` for many."""
        return bool(self.finished([run_id]))

    def finished(self, run_ids: Iterable[str], *, verify: bool = False) -> set[str]:
        """Those of these runs that have a record; with `verify`, one intact to the last byte."""
        there = self.archive.run_ids().intersection(map(_checked, run_ids))
        return {run_id for run_id, _ in self.archive.read(there)} if verify else there

    def run_ids(self) -> list[str]:
        """Every run with a record, in order of id."""
        return sorted(self.archive.run_ids())

    def find_run(self, prefix: str) -> str:
        """The one run whose id begins so; ConfigError where none or several do."""
        return only("run", prefix, self.run_ids())

    def write(self, record: RunRecord, *, replace: bool = False) -> bool:
        """Keep a finished run durably; False if an intact record is there already and is left."""
        return bool(self.write_many([record], replace=replace))

    def write_many(
        self, records: Sequence[RunRecord], *, replace: bool = False, weights: bool = True
    ) -> set[str]:
        """Keep runs that ended together durably, in one file; the ids of those written.

        A run of which an intact record is there is left as it is, unless `replace`. weights: keep
        them; otherwise only their checksums. Checkpoints and failures of these runs go once the
        records are safe.
        """
        ids = [_checked(record.run_id) for record in records]
        there = set() if replace else self.finished(ids, verify=True)
        generation = self.archive.generation(ids) if replace else 0
        entries = [
            entry_of(record, weights=weights, generation=generation)
            for record in records
            if record.run_id not in there
        ]
        if entries:
            self.archive.add(entries)
            if replace:
                self.archive.settle()
        self.forget_unfinished(ids)
        return {entry.plain["run_id"] for entry in entries}

    def read(self, run_id: str, *, weights: bool = True) -> RunRecord | None:
        """The record, every byte verified; None if there is none, or none that is intact.

        LedgerError for one that is intact but that this version cannot understand.
        """
        return self.read_many([run_id], weights=weights).get(run_id)

    def read_many(self, run_ids: Iterable[str], *, weights: bool = True) -> dict[str, RunRecord]:
        """The records of these runs in the order given, as `read`; those that lack one are absent.

        Each file is opened once: far faster than one by one.
        """
        ids = [_checked(run_id) for run_id in run_ids]
        known: Known = {}
        found = {
            run_id: self._record(entry, known)
            for run_id, entry in self.archive.read(ids, weights=weights)
        }
        return {run_id: found[run_id] for run_id in ids if run_id in found}

    def read_plain(self, run_id: str) -> dict[str, Any] | None:
        """Settings and final numbers alone, without curves and weights (see RunRecord.to_plain)."""
        return dict(self.plains([run_id])).get(run_id)

    def plains(self, run_ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """run_id, settings and final numbers of each of these runs, in no particular order."""
        ids = [_checked(run_id) for run_id in run_ids]
        for run_id, entry in self.archive.read(ids, curves=False, weights=False):
            yield run_id, dict(entry.plain)

    def curves(self, run_ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Curve]]]:
        """run_id and curves by metric of each of these runs, in no particular order."""
        ids = [_checked(run_id) for run_id in run_ids]
        for run_id, entry in self.archive.read(ids, weights=False):
            yield run_id, entry.series

    def weights_sha256(self, run_ids: Iterable[str]) -> dict[str, str]:
        """run_id -> checksum of its weights (of record.weights_bytes), of dropped ones too."""
        entries = self.archive.read(map(_checked, run_ids), curves=False, weights=False)
        return {run_id: one.weights_sum[1] for run_id, one in entries if one.weights_sum}

    def table(self, sweep_id: str | None = None) -> list[dict[str, Any]]:
        """One flat row a run, in the sweep's order: status, name, ids, verdict, settings, metrics.

        Failed runs have status FAILED, their settings and `error`; unfinished ones have no row.
        Without a sweep: every record. Reads no curves and no weights.
        """
        sweep = None if sweep_id is None else self.read_sweep(sweep_id, singles=True)
        ids = self.run_ids() if sweep is None else list(sweep.run_ids)
        found = {run_id: table_row(plain) for run_id, plain in self.plains(ids)}
        failed = self.failures(ids)
        rows = []
        for run_id in ids:
            name = sweep.names[run_id] if sweep else run_id
            if run_id in found:
                rows.append({"status": "FINISHED", "name": name} | found[run_id])
            elif sweep and run_id in failed:
                plain: dict[str, Any] = {"config": sweep.configs[run_id], "run_id": run_id}
                plain |= {"config_id": None, "verdict": None, "summary": {}, "warnings": []}
                error = {"status": "FAILED", "error": failed[run_id]["message"]}
                rows.append({"status": "FAILED", "name": name} | table_row(plain) | error)
        return rows

    def drop_weights(self, run_ids: Collection[str]) -> None:
        """Remove the weights of these runs; their checksums stay for comparison."""
        self.archive.strip({_checked(run_id) for run_id in run_ids})

    def keep_best_weights(self, sweep_id: str) -> int:
        """Drop the weights of a sweep's runs but the best one's and other sweeps'; how many.

        Where losses cannot be compared, the best one of each loss keeps its weights.
        """
        sweep, best = self.read_sweep(sweep_id), best_runs(self.table(sweep_id))
        others = set(self._own(sweep)).difference(best) if best else set()
        self.drop_weights(others)
        return len(others)

    # sweeps

    def write_sweep(self, manifest: SweepManifest, *, replace: bool = False) -> SweepManifest:
        """Keep a sweep's manifest; returns the one that is kept: the first one, unless `replace`.

        A new one is dated after every older one even if the clock went back.
        """
        path = self.file("sweeps", manifest.sweep_id, ".json")
        found = None if replace else self.read_sealed(path)
        if found:
            return SweepManifest.from_plain(found)
        plain = manifest.to_plain()
        if not path.exists():
            newest = max((sweep.created_ms for sweep in self._manifests()), default=0)
            plain["created_ms"] = max(manifest.created_ms, newest + 1)
        self.write_sealed(path, plain, "sweep")
        return SweepManifest.from_plain(plain)

    def sweeps(self, kind: str = "sweep") -> list[SweepManifest]:
        """All sweeps (or kind "single": runs trained by themselves), newest first."""
        found = [sweep for sweep in self._manifests() if sweep.kind == kind]
        return sorted(found, key=lambda sweep: (-sweep.created_ms, sweep.sweep_id))

    def read_sweep(self, prefix: str = "newest", *, singles: bool = False) -> SweepManifest:
        """The sweep whose id begins so, or the newest; ConfigError where there is none.

        singles: runs trained by themselves count too.
        """
        if prefix != "newest" and NAME.fullmatch(prefix):
            found = self.read_sealed(self.file("sweeps", prefix, ".json"))
            if found and (singles or found["kind"] == "sweep"):
                return SweepManifest.from_plain(found)
        known = self.sweeps() + (self.sweeps("single") if singles else [])
        sweeps = {sweep.sweep_id: sweep for sweep in known}
        if not sweeps:
            raise ConfigError(f"there is no sweep in {self.root}; start one with `harness sweep`.")
        return sweeps[next(iter(sweeps)) if prefix == "newest" else only("sweep", prefix, sweeps)]

    def lock_sweep(
        self, name: str, *, wait: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """Hold a sweep or run for this process; LedgerBusyError names who has it (or wait)."""
        return durable.locked(self.file("locks", name, ".lock"), f"sweep {name}", wait=wait)

    def remove_sweep(self, sweep_id: str, *, dry_run: bool = False) -> Removal:
        """Remove a sweep and its records, but those that another sweep or `train` made as well."""
        sweep = self.read_sweep(sweep_id, singles=True)
        with contextlib.nullcontext() if dry_run else self.lock_sweep(sweep.sweep_id):
            mine = self._own(sweep)
            kept = tuple(sorted(set(sweep.run_ids).difference(mine)))
            freed = self.archive.size(mine)
            if not dry_run:
                with clear_errors("remove the sweep", self.root):
                    self.archive.drop(set(mine))
                    self.forget_unfinished(mine)
                    self.file("sweeps", sweep.sweep_id, ".json").unlink(missing_ok=True)
        return Removal(removed=mine, kept=kept, bytes=freed)

    # within

    def _record(self, entry: Entry, known: Known) -> RunRecord:
        try:
            weights = {} if entry.weights is None else read_weights(entry.weights)
            return RunRecord.from_plain(entry.plain, entry.series, weights, known)
        except (ConfigError, KeyError, ValueError) as error:
            version = entry.plain.get("provenance", {}).get("version", "unknown")
            raise LedgerError(
                f"run {entry.plain['run_id']} in {self.root} was written by harness {version} and "
                f"this version does not understand it: {error}. Use that version, or train the run "
                "again."
            ) from error

    def _manifests(self) -> list[SweepManifest]:
        folder = self.root / "sweeps"
        paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
        found = [self.read_sealed(path) for path in paths]
        return [SweepManifest.from_plain(plain) for plain in found if plain]

    def _own(self, sweep: SweepManifest) -> tuple[str, ...]:
        """Runs that no other sweep, and no `train`, lays claim to."""
        others = (other for other in self._manifests() if other.sweep_id != sweep.sweep_id)
        shared = {run_id for other in others for run_id in other.run_ids}
        return tuple(run_id for run_id in sweep.run_ids if run_id not in shared)


def _checked(run_id: str) -> str:
    """The id; ConfigError for one that no run has, such as a path."""
    if not NAME.fullmatch(run_id):
        raise no_id(run_id)
    return run_id
