"""The truth on disk: every finished run as one durable, checksummed record.

    <dir>/records/<run_id>/record.json, curves.parquet, weights.safetensors, config.yaml
    <dir>/checkpoints/<run_id>.ckpt, <dir>/failures/<run_id>.json, <dir>/sweeps/<sweep_id>.json

A record's folder is built under <dir>/tmp and renamed into place, so killing the writer at any
instant leaves a whole record or none. record.json is sealed and holds the checksums of curves and
weights; what does not match is moved to <dir>/corrupt with a warning and counts as absent.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.records import durable
from harness.records.durable import LedgerError, clear_errors
from harness.records.folder import NAME, Shelf, only
from harness.records.manifests import SweepManifest
from harness.records.ranking import best_runs
from harness.records.record import RunRecord, read_curves, read_weights, table_row
from harness.records.recordfiles import CURVES, HEAD, WEIGHTS, pack_record, read_files, read_head

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What removing a sweep takes away: runs removed, runs kept for other sweeps, bytes freed."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    bytes: int


class Ledger(Shelf):
    """Finished runs and sweeps under one folder; checkpoints and failures too (see Shelf)."""

    # records

    def has(self, run_id: str) -> bool:
        """Whether the run's record is there; its checksums are not looked at."""
        return self._home(run_id).is_dir()

    def finished(self, run_ids: Iterable[str], *, verify: bool = False) -> set[str]:
        """Those of these runs that have a record; with `verify`, one intact to the last byte."""
        there = set(run_ids).intersection(self.run_ids())
        return {run_id for run_id in there if self.intact(run_id)} if verify else there

    def run_ids(self) -> list[str]:
        """Every run with a record, in order of id."""
        home = self.root / "records"
        try:
            return sorted(n for n in os.listdir(home) if NAME.fullmatch(n))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []

    def find_run(self, prefix: str) -> str:
        """The one run whose id begins so; ConfigError where none or several do."""
        return only("run", prefix, self.run_ids())

    def write(self, record: RunRecord, *, replace: bool = False) -> bool:
        """Keep a finished run durably; False if an intact record stands already and is left.

        The run's checkpoint and its failure, if any, go once the record is safe.
        """
        home = self._home(record.run_id)
        written = replace or not self.intact(record.run_id)
        if written:
            with clear_errors("write the record of run", home):
                self._put(record, home)
        self.drop_checkpoint(record.run_id)
        self.drop_failure(record.run_id)
        return written

    def read(self, run_id: str, *, weights: bool = True) -> RunRecord | None:
        """The record, every byte verified; None if there is none, or none that is intact.

        LedgerError for one that is intact but that this version cannot understand.
        """
        home = self._home(run_id)
        found = self.verified(home, lambda: read_files(home))
        if found is None:
            return None
        head, files = found
        try:
            return RunRecord.from_plain(
                head["record"],
                read_curves(files[CURVES]),
                read_weights(files[WEIGHTS]) if weights and WEIGHTS in files else {},
            )
        except (ConfigError, KeyError, ValueError) as error:
            version = head["record"].get("provenance", {}).get("version", "unknown")
            raise LedgerError(
                f"{home / HEAD} was written by harness {version} and this version does not "
                f"understand it: {error}. Use that version, or train the run again."
            ) from error

    def read_plain(self, run_id: str) -> dict[str, Any] | None:
        """Settings and final numbers alone, without curves and weights (see RunRecord.to_plain)."""
        home = self._home(run_id)
        head = self.verified(home, lambda: read_head(home))
        return head["record"] if head else None

    def checksums(self, run_id: str) -> dict[str, str]:
        """File name -> sha256 as the record holds them, of dropped weights too; {} if absent."""
        home = self._home(run_id)
        head = self.verified(home, lambda: read_head(home))
        return {name: entry["sha256"] for name, entry in head["files"].items()} if head else {}

    def intact(self, run_id: str) -> bool:
        """Whether a record is there and every byte is as written; a damaged one is set aside."""
        home = self._home(run_id)
        return self.verified(home, lambda: read_files(home)) is not None

    def path(self, run_id: str, name: str) -> Path:
        """Where a file of a record stands: config.yaml, curves.parquet, weights.safetensors."""
        return self._home(run_id) / name

    def table(self, sweep_id: str | None = None) -> list[dict[str, Any]]:
        """One flat row a run, in the sweep's order: status, name, ids, verdict, settings, metrics.

        Failed runs have status FAILED, their settings and `error`; unfinished ones have no row.
        Without a sweep: every record. Reads no curves and no weights.
        """
        if sweep_id is None:
            sweep, ids = None, self.run_ids()
        else:
            sweep = self.read_sweep(sweep_id)
            ids = list(sweep.run_ids)
        failed = self.failures(ids)
        rows = []
        for run_id in ids:
            plain = self.read_plain(run_id)
            head = {"status": "FINISHED", "name": sweep.names[run_id] if sweep else run_id}
            if plain:
                rows.append(head | table_row(plain))
            elif sweep and run_id in failed:
                plain = {"run_id": run_id, "config_id": None, "verdict": None, "summary": {}}
                plain |= {"config": sweep.configs[run_id], "warnings": []}
                error = {"status": "FAILED", "error": failed[run_id]["message"]}
                rows.append(head | table_row(plain) | error)
        return rows

    def drop_weights(self, run_id: str) -> None:
        """Remove a record's weights and say so in it; their checksum stays for comparison."""
        home = self._home(run_id)
        head = self.verified(home, lambda: read_head(home))
        if head and WEIGHTS in head["files"] and WEIGHTS not in head["dropped"]:
            head["dropped"] = [*head["dropped"], WEIGHTS]
            self.write_sealed(home / HEAD, head, "record of run")
            (home / WEIGHTS).unlink(missing_ok=True)

    def keep_best_weights(self, sweep_id: str) -> int:
        """Drop the weights of a sweep's runs but the best one's and other sweeps'; how many.

        Where losses cannot be compared, the best one of each loss keeps its weights.
        """
        sweep, best = self.read_sweep(sweep_id), best_runs(self.table(sweep_id))
        dropped = [run_id for run_id in self._own(sweep) if run_id not in best] if best else []
        for run_id in dropped:
            self.drop_weights(run_id)
        return len(dropped)

    # sweeps

    def write_sweep(self, manifest: SweepManifest, *, replace: bool = False) -> SweepManifest:
        """Keep a sweep's manifest; returns the one that stands: the first one, unless `replace`.

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

    def read_sweep(self, prefix: str = "newest") -> SweepManifest:
        """The sweep whose id begins so, or the newest; ConfigError where there is none."""
        if prefix != "newest" and NAME.fullmatch(prefix):
            found = self.read_sealed(self.file("sweeps", prefix, ".json"))
            if found:
                return SweepManifest.from_plain(found)
        sweeps = {sweep.sweep_id: sweep for sweep in self.sweeps()}
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
        sweep = self.read_sweep(sweep_id)
        with contextlib.nullcontext() if dry_run else self.lock_sweep(sweep.sweep_id):
            mine = self._own(sweep)
            kept = tuple(sorted(set(sweep.run_ids).difference(mine)))
            freed = sum(self._bytes(run_id) for run_id in mine)
            if not dry_run:
                with clear_errors("remove the sweep", self.root):
                    for run_id in mine:
                        self._remove(run_id)
                    self.file("sweeps", sweep.sweep_id, ".json").unlink(missing_ok=True)
        return Removal(removed=mine, kept=kept, bytes=freed)

    # within

    def _home(self, run_id: str) -> Path:
        return self.file("records", run_id)

    def _put(self, record: RunRecord, home: Path) -> None:
        files = pack_record(record)
        part = durable.temporary(durable.make_folder(self.scratch), "new", record.run_id)
        try:
            part.mkdir()
            for name, content in files.items():
                durable.write_through(part / name, content)
            durable.sync_folder(part)
            durable.make_folder(home.parent)
            self._swap(part, home)
        except BaseException:
            durable.discard(part)
            raise
        durable.sync_folder(home.parent)

    def _swap(self, part: Path, home: Path) -> None:
        """Rename `part` to `home`; what stands there is moved away first, and then removed."""
        while True:
            old = durable.temporary(self.scratch, "old", home.name)
            with contextlib.suppress(FileNotFoundError):
                home.rename(old)  # killed between the two: `clean` puts it back
            try:
                part.rename(home)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    durable.discard(old)  # another writer's whole record came in between
                    continue
                with contextlib.suppress(OSError):
                    old.rename(home)
                raise
            durable.discard(old)
            return

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

    def _bytes(self, run_id: str) -> int:
        home = self._home(run_id)
        return sum(p.stat().st_size for p in home.iterdir()) if home.is_dir() else 0

    def _remove(self, run_id: str) -> None:
        gone = durable.temporary(durable.make_folder(self.scratch), "gone", run_id)
        with contextlib.suppress(FileNotFoundError):
            self._home(run_id).rename(gone)
        durable.discard(gone)
        self.drop_checkpoint(run_id)
        self.drop_failure(run_id)
