"""Where finished runs are: files of runs that ended together, and how they are changed.

    <dir>/records/<name>.runs, each a bundle; <dir>/records/<run_id>/, as the first version wrote

No file is changed in place: what an edit keeps is written to a new file, durably, before the old
one goes. Killed in between, a run is in two files, of which the one of the higher generation
counts; so no instant loses a record or half of one. Any number of processes may add; edits take
turns by a lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import warnings
from typing import TYPE_CHECKING

from harness.records import durable
from harness.records.bundle import Entry, pack
from harness.records.durable import DamagedError, LedgerError, LedgerWarning, clear_errors
from harness.records.places import Places

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from pathlib import Path

    Change = Callable[[Entry], Entry]

TRIES = 2  # to read runs, before other processes are kept from moving them


class Archive:
    """The finished runs under one folder. Opening it writes nothing; safe to use from threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._places = Places(root / "records", self._still)
        self._guard = threading.RLock()
        self._editing = False
        self._lost: set[tuple[str, str]] = set()  # damaged runs in files that cannot be replaced

    # reading

    def run_ids(self) -> set[str]:
        """Every run that has a record now; what other processes wrote and removed is seen."""
        with self._guard:
            self._refresh()
            return set(self._places.newest())

    def read(
        self, run_ids: Iterable[str], *, curves: bool = True, weights: bool = True
    ) -> Iterator[tuple[str, Entry]]:
        """The entries of these runs, file by file; runs without an intact one are left out.

        Only what is read is verified. Damage is set aside with a warning that names the run.
        """
        left = list(dict.fromkeys(run_ids))
        for attempt in range(TRIES):
            left = yield from self._pass(left, fresh=attempt > 0, curves=curves, weights=weights)
            if not left:
                return
        with self._still():  # other processes move runs faster than they can be read
            found = list(self._pass(left, fresh=True, curves=curves, weights=weights))
        yield from found

    def _pass(
        self, run_ids: Sequence[str], *, fresh: bool, curves: bool, weights: bool
    ) -> Generator[tuple[str, Entry], None, list[str]]:
        """The entries of these runs; returns those that were not where they should have been."""
        left: list[str] = []
        for name, ids in self._find(run_ids, fresh=fresh).items():
            done: set[str] = set()
            damaged = False
            for run_id, entry in self._entries(name, ids, curves=curves, weights=weights):
                if isinstance(entry, DamagedError):
                    damaged = True
                else:
                    done.add(run_id)
                    yield run_id, entry
            if damaged:
                self._mend(name)
            left += [run_id for run_id in ids if run_id not in done]
        return left

    def size(self, run_ids: Iterable[str]) -> int:
        """Bytes that these runs take on disk."""
        total = 0
        for name, ids in self._find(run_ids, fresh=True).items():
            with contextlib.suppress(FileNotFoundError), self._guard:
                total += sum(map(self._places.open(name).size, ids))
        return total

    # changing

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep these runs durably in one new file."""
        self._put(entries)

    def generation(self, run_ids: Iterable[str]) -> int:
        """The lowest generation above those of all entries that these runs have."""
        with self._guard:
            self._refresh()
            newest = self._places.newest()
            return 1 + max((newest[run][0] for run in run_ids if run in newest), default=-1)

    def settle(self) -> None:
        """Remove entries of which a newer one exists in another file."""
        with self._guard:
            self._refresh()
            if any(map(self._places.superseded, self._places.files)):
                self._edit(self._places.superseded, None)

    def drop(self, run_ids: Collection[str]) -> None:
        """Remove these runs."""
        self._edit(lambda name: self._places.files[name].keys() & run_ids, None)

    def strip(self, run_ids: Collection[str]) -> None:
        """Remove the weights of these runs; their checksums stay."""
        self._edit(
            lambda name: self._places.files[name].keys() & run_ids,
            lambda entry: dataclasses.replace(entry, weights=None),
        )

    # within

    def _find(self, run_ids: Iterable[str], *, fresh: bool) -> dict[str, list[str]]:
        """File name -> those of these runs whose records are in it."""
        run_ids = list(run_ids)
        out: dict[str, list[str]] = {}
        with self._guard:
            if fresh or not self._places.newest().keys() >= set(run_ids):
                self._refresh()
            newest = self._places.newest()
            for run_id in run_ids:
                _, name = newest.get(run_id, (0, ""))
                if name and (name, run_id) not in self._lost:
                    out.setdefault(name, []).append(run_id)
        return out

    def _refresh(self) -> None:
        self._places.refresh()
        for name in list(self._places.damaged):
            self._mend(name)

    def _entries(
        self, name: str, run_ids: Iterable[str] | None, *, curves: bool = True, weights: bool = True
    ) -> Iterator[tuple[str, Entry | DamagedError]]:
        """Entries of one file; no more where another process moves them elsewhere meanwhile."""
        with clear_errors("read", self._places.folder / name):
            try:
                with self._guard:
                    file = self._places.open(name)
                ids = file.generations() if run_ids is None else run_ids
                yield from file.entries(ids, curves=curves, weights=weights)
            except FileNotFoundError:
                return

    def _put(self, entries: Sequence[Entry]) -> str:
        name, content = pack(entries)
        folder = self._places.folder
        with clear_errors("write the records in", folder):
            durable.replace_file(folder / name, content, self.root / "tmp")
        with self._guard:
            self._places.enter(name, {e.plain["run_id"]: e.generation for e in entries})
        return name

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Change files while no other process does."""
        with self._guard:
            if self._editing:
                yield
                return
            path = self.root / "locks" / "records.lock"
            with durable.locked(path, "the ledger", wait=True):
                self._editing = True
                try:
                    yield
                finally:
                    self._editing = False

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        """As _turn, where a lock can be had; without one in a folder that cannot be written."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(LedgerError):
                stack.enter_context(self._turn())
            yield

    def _edit(self, concerned: Callable[[str], Collection[str]], change: Change | None) -> None:
        """Change those entries of every file that it concerns, or remove them (None).

        Files that go as a whole go first: that takes no room on a disk that may be full.
        """
        with self._turn():
            self._refresh()
            files = self._places.files
            hit = {name: found for name in files if (found := set(concerned(name)))}
            whole = [n for n in hit if change is None and len(hit[n]) == len(files[n])]
            with clear_errors("change the records in", self._places.folder):
                for name in whole:
                    self._remove(name)
                for name in sorted(hit.keys() - whole):
                    self._rewrite(name, hit[name], change)

    def _mend(self, name: str) -> None:
        """Set a damaged file aside; what is intact of it is kept in a new one."""
        with self._guard:
            self._places.damaged.discard(name)
            self._rewrite(name, (), None)

    def _rewrite(self, name: str, hit: Collection[str], change: Change | None) -> None:
        """Replace a file by what is left of it: without the runs hit, or with them changed.

        Damage is found on the way and set aside.
        """
        kept: list[Entry] = []
        wrong: dict[str, str] = {}
        for run_id, entry in self._entries(name, None):
            if isinstance(entry, DamagedError):
                wrong[run_id] = str(entry)
            elif run_id not in hit:
                kept.append(entry)
            elif change is not None:
                kept.append(change(entry))
        with contextlib.suppress(FileNotFoundError):
            damage = self._places.open(name).damage
            if wrong or damage:
                self._set_aside(name, kept, wrong, damage)
            elif hit and (not kept or self._put(kept) != name):
                self._remove(name)

    def _remove(self, name: str) -> None:
        path = self._places.folder / name
        if path.is_dir():  # out of sight at once, then file by file
            gone = durable.temporary(durable.make_folder(self.root / "tmp"), "gone", name)
            with contextlib.suppress(FileNotFoundError):
                path.rename(gone)
            durable.discard(gone)
        else:
            path.unlink(missing_ok=True)
        self._places.forget(name)

    def _set_aside(
        self, name: str, kept: Sequence[Entry], wrong: Mapping[str, str], damage: str
    ) -> None:
        """Keep a damaged file under `corrupt`, put what is intact in its place, and warn."""
        path = self._places.folder / name
        told = [damage] if damage else []
        told += [f"run {run_id} ({reason})" for run_id, reason in list(wrong.items())[:5]]
        told += [f"{len(wrong) - 5} more runs"] if len(wrong) > 5 else []
        try:
            with self._turn():
                target = durable.spare(self.root / "corrupt", name)
                durable.second_name(path, target)
                if not kept or self._put(kept) != name:
                    self._remove(name)
            where = f"set aside as {target}"
        except FileNotFoundError:
            return  # another process was faster, and has warned
        except (LedgerError, OSError) as error:
            self._lost.update((name, run_id) for run_id in wrong)
            where = f"it could not be set aside: {error}"
        words = f"{path} is damaged: {', '.join(told)}; {where}; "
        words += f"{len(wrong) or 'no'} runs count as absent, {len(kept)} are intact."
        warnings.warn(words, LedgerWarning, stacklevel=4)
