"""Which file of the ledger's records folder holds which run, kept up to date with the folder."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from harness.records.bundle import SUFFIX, Bundle
from harness.records.durable import NAME
from harness.records.first_version import OldRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from harness.records.bundle import Entry
    from harness.records.durable import DamagedError

RECENT = 0.1  # seconds; times of folders are only so fine
OPENED = 8  # files whose index is kept in memory, for runs read one by one


class RecordFile(Protocol):
    """A file or folder with the records of some runs; it never changes while it is there."""

    @property
    def damage(self) -> str:
        """What is wrong with the file although its runs can be read; "" where nothing is."""

    def generations(self) -> dict[str, int]:
        """run_id -> generation of its entry."""

    def entries(
        self, run_ids: Iterable[str], *, curves: bool = True, weights: bool = True
    ) -> Iterator[tuple[str, Entry | DamagedError]]:
        """Each run's entry, or what is wrong with it."""

    def size(self, run_id: str) -> int:
        """Bytes that a run takes."""


class Places:
    """The files of a records folder and the runs in them. Not safe to use from several threads.

    still: holds off whoever moves runs from one file to another, as far as that can be done here.
    files: file name -> run_id -> generation of its entry there; damaged: files found to be so.
    """

    def __init__(self, folder: Path, still: Callable[[], AbstractContextManager[None]]) -> None:
        self.folder, self.still = folder, still
        self.files: dict[str, dict[str, int]] = {}
        self.damaged: set[str] = set()
        self._newest: dict[str, tuple[int, str]] | None = {}  # None: outdated
        self._doubled: set[str] = set()  # runs that are in more than one file
        self._opened: dict[str, RecordFile] = {}

    def refresh(self) -> None:
        """Look at the folder again: files that came are opened, those that went are forgotten."""
        names, steady = self._list()
        if not steady:  # a run on its way from file to file may have been in neither
            with self.still():
                names, _ = self._list()
        for name in self.files.keys() - names:
            self.forget(name)
        for name in sorted(names - self.files.keys()):
            try:
                file = self.open(name)
            except FileNotFoundError:  # replaced by another process since it was listed
                continue
            self.enter(name, file.generations())
            if file.damage:
                self.damaged.add(name)

    def newest(self) -> dict[str, tuple[int, str]]:
        """run_id -> (generation, file name) of the entry that counts."""
        if self._newest is None:
            self._newest, self._doubled = {}, set()
            for name, runs in self.files.items():
                self._count(name, runs)
        return self._newest

    def superseded(self, name: str) -> set[str]:
        """Runs of a file of which another one holds the entry that counts."""
        newest = self.newest()
        return {run for run in self._doubled & self.files[name].keys() if newest[run][1] != name}

    def enter(self, name: str, runs: dict[str, int]) -> None:
        """Note a file and the generations of its runs."""
        self.files[name] = runs
        if self._newest is not None:
            self._count(name, runs)

    def forget(self, name: str) -> None:
        """Note that a file is gone."""
        self.files.pop(name, None)
        self.damaged.discard(name)
        self._opened.pop(name, None)
        self._newest = None

    def open(self, name: str) -> RecordFile:
        """A file with its index read; FileNotFoundError where it is gone."""
        file = self._opened.pop(name, None)
        if file is None:
            path = self.folder / name
            file = Bundle(path) if name.endswith(SUFFIX) else OldRecord(path)
        self._opened[name] = file
        if len(self._opened) > OPENED:
            del self._opened[next(iter(self._opened))]
        return file

    def _count(self, name: str, runs: dict[str, int]) -> None:
        assert self._newest is not None
        for run_id, generation in runs.items():
            here = generation, name
            if run_id in self._newest:
                self._doubled.add(run_id)
            if here > self._newest.get(run_id, (-2, "")):
                self._newest[run_id] = here

    def _list(self) -> tuple[set[str], bool]:
        """Names of what is there, and whether nothing was changed just now."""
        try:
            before = self.folder.stat().st_mtime
            with os.scandir(self.folder) as found:
                names = {entry.name for entry in found if _ours(entry)}
            after = self.folder.stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return set(), True
        return names, before == after and time.time() - after > RECENT


def _ours(entry: os.DirEntry[str]) -> bool:
    if entry.name.endswith(SUFFIX):
        return True
    return NAME.fullmatch(entry.name) is not None and entry.is_dir()
