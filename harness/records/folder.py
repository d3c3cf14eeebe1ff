"""The folder under a ledger: verified reading, checkpoints, failures, cleaning up, locks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import ConfigError, nearest, shown
from harness.records import durable
from harness.records.archive import Archive
from harness.records.checkpoints import pack, unpack
from harness.records.durable import NAME, DamagedError, LedgerError, clear_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")


class LedgerFolder:
    """The folder under a ledger: things by name, each whole or absent. Opening it writes nothing.

    Any number of processes may use one folder; the object is a path and can be sent to workers.
    """

    def __init__(self, root: str | os.PathLike[str] = "runs") -> None:
        self.root = Path(root).absolute()
        self.archive = Archive(self.root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root,)

    def prepare(self) -> None:
        """Make the folder and clean up after dead writers; ConfigError if it cannot be written."""
        try:
            with clear_errors("write in", self.root):
                durable.replace_file(self.scratch / "probe", b"", self.scratch)
                (self.scratch / "probe").unlink(missing_ok=True)
        except LedgerError as error:
            raise ConfigError(f"ledger.dir is {shown(str(self.root))}: {error}") from error
        self.clean()

    def clean(self) -> None:
        """Remove what dead writers left behind: half-written files, records since replaced.

        A worker that outlives its parent may save a run that was finished meanwhile by another.
        """
        for path, kind, name in durable.leftovers(self.scratch):
            home = self.root / "records" / name
            if kind == "old" and not home.exists():  # the first version was replacing this record
                with contextlib.suppress(OSError):
                    path.rename(home)
                    continue
            durable.discard(path)
        self.archive.settle()
        names = [path.stem for path in self.root.glob("checkpoints/*.ckpt")]
        self.forget_unfinished(self.archive.run_ids().intersection(names))

    @property
    def scratch(self) -> Path:
        """Where things are built before they are renamed into place."""
        return self.root / "tmp"

    def file(self, kind: str, name: str, suffix: str = "") -> Path:
        """The path of a named thing; ConfigError for a name that could leave the folder."""
        if not NAME.fullmatch(name):
            raise no_id(name)
        return self.root / kind / f"{name}{suffix}"

    def verified(self, path: Path, read: Callable[[], T]) -> T | None:
        """What `read` gives; None where the thing is absent or damaged (set aside, with a warning).

        Tried twice: a reader may meet a thing just while another process replaces it.
        """
        for last in (False, True):
            try:
                with clear_errors("read", path):
                    return read() if path.exists() else None
            except DamagedError as reason:
                if last:
                    durable.set_aside(path, self.root / "corrupt", str(reason))
        return None

    def read_sealed(self, path: Path) -> dict[str, Any] | None:
        """A sealed file's content; None where it is absent or damaged."""
        return self.verified(path, lambda: durable.unseal(path.read_bytes()))

    def write_sealed(self, path: Path, plain: Mapping[str, Any], what: str) -> None:
        """Put a sealed file in place, whole or not at all; `what` names it in errors."""
        with clear_errors(f"write the {what}", path):
            durable.replace_file(path, durable.seal(plain), self.scratch)

    # checkpoints of unfinished runs

    def save_checkpoint(self, run_id: str, state: Mapping[str, Any]) -> None:
        """Keep an unfinished run's state in place of its last one.

        state: step (int), tensors {name: tensor}, series {name: (steps, values)}, meta (JSON).
        """
        path = self.file("checkpoints", run_id, ".ckpt")
        with clear_errors("write the checkpoint", path):
            durable.replace_file(path, pack(run_id, state), self.scratch)

    def load_checkpoint(self, run_id: str) -> dict[str, Any] | None:
        """The state as it was saved; None if there is none, or a damaged one (then set aside)."""
        path = self.file("checkpoints", run_id, ".ckpt")
        return self.verified(path, lambda: unpack(run_id, path.read_bytes()))

    def forget_unfinished(self, run_ids: Iterable[str]) -> None:
        """Remove the checkpoints and failures of these runs; absent is fine."""
        ids = set(run_ids)
        for folder, suffix in (("checkpoints", ".ckpt"), ("failures", ".json")):
            with clear_errors("clean", self.root / folder):
                try:
                    there = set(os.listdir(self.root / folder))  # noqa: PTH208
                except FileNotFoundError:
                    continue
                for run_id in ids:
                    if run_id + suffix in there:
                        self.file(folder, run_id, suffix).unlink(missing_ok=True)

    # failures

    def write_failure(self, run_id: str, message: str, traceback: str = "") -> None:
        """Keep why a run failed; it is tried again the next time, and a success removes this."""
        plain = {"run_id": run_id, "message": message, "traceback": traceback, "time": time.time()}
        self.write_sealed(self.file("failures", run_id, ".json"), plain, "failure")

    def failures(self, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """run_id -> {"message", "traceback", "time"} of those that failed and did not succeed."""
        try:
            there = set(os.listdir(self.root / "failures"))  # noqa: PTH208
        except FileNotFoundError:
            return {}
        out = {}
        failed = [run_id for run_id in run_ids if f"{run_id}.json" in there]
        finished = self.archive.run_ids() if failed else set()
        for run_id in failed:
            if run_id not in finished:
                found = self.read_sealed(self.file("failures", run_id, ".json"))
                if found:
                    out[run_id] = found
        return out


def no_id(name: str) -> ConfigError:
    """The error for a name that no run or sweep can have."""
    return ConfigError(
        f"{shown(name)} is no run or sweep id; an id is 16 hex digits, such as 0123456789abcdef "
        "(see `harness list`)."
    )


def only(what: str, prefix: str, known: Iterable[str]) -> str:
    """The one known id that begins with `prefix`; ConfigError names the candidates otherwise."""
    names = list(known)
    found = [name for name in names if prefix and name.startswith(prefix)]
    if len(found) == 1 or prefix in found:
        return prefix if prefix in found else found[0]
    if found:
        raise ConfigError(
            f"{what} {shown(prefix)} is not unique: {', '.join(found[:5])}"
            f"{', ...' if len(found) > 5 else ''}; give more digits."
        )
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise ConfigError(
        f"there is no {what} {shown(prefix)}; known: {few or 'none'} (see `harness list`)."
        f"{nearest(prefix, names)}"
    )
