"""Files that are whole or absent: temporary name, fsync, rename, fsync of the folder.

Everything the ledger keeps goes through here. A sealed text carries the sha256 of all its other
bytes, so that no changed byte is read silently. Temporary names say who made them, so that what a
killed writer left behind can be distinguished from what a living one is still writing.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import time
import uuid
import warnings
from typing import TYPE_CHECKING, Any

from harness import system
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}")  # of a run or a sweep: safe as a file's
STALE_SECONDS = 86_400.0  # a leftover of another machine is taken for dead after this long


class LedgerWarning(UserWarning):
    """Something damaged was found and set aside; the message names file and reason."""


class LedgerError(HarnessError):
    """The ledger's folder cannot be read or written; the message says why and what to do."""


class LedgerBusyError(LedgerError):
    """Another living process holds what was asked for."""


class DamagedError(ValueError):
    """A file is not what was written; the message is the reason."""


REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space (`harness rm SWEEP` removes old sweeps)",
    errno.EDQUOT: "your disk quota is used up; free some space (`harness rm SWEEP`)",
    errno.EFBIG: "the file size limit is too low; raise it (`ulimit -f unlimited`)",
    errno.EROFS: "the file system is read-only; name a writable folder with ledger.dir=FOLDER",
    errno.EACCES: "permission denied; name a writable folder with ledger.dir=FOLDER",
    errno.EPERM: "not permitted; name a writable folder with ledger.dir=FOLDER",
    errno.ENOTDIR: "a part of this path is a file; name a folder with ledger.dir=FOLDER",
    errno.EEXIST: "a file is where a folder is needed; choose another ledger.dir=FOLDER",
    errno.EMFILE: "too many open files; raise the limit (`ulimit -n 4096`)",
    errno.EIO: "the disk reports an error; nothing finished before is touched",
}


@contextlib.contextmanager
def clear_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError into a LedgerError that says what failed, where, and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise LedgerError(f"cannot {doing} {path}: {remedy}.") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> Path:
    """Create a folder and its parents, durably; returns it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    return folder


def write_through(path: Path, content: Sequence[bytes]) -> None:
    """Write a new file and wait until its bytes are on the disk; the name is not yet durable."""
    with path.open("wb") as out:
        out.writelines(content)
        out.flush()
        os.fsync(out.fileno())


def replace_file(path: Path, content: bytes | Sequence[bytes], scratch: Path) -> None:
    """Put a whole file in place of `path`, or nothing; `scratch` is on the same file system.

    content: all bytes, or pieces of them in order.
    """
    part = temporary(make_folder(scratch), "file", path.name)
    make_folder(path.parent)
    try:
        write_through(part, [content] if isinstance(content, bytes) else content)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def digest(content: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def seal(plain: Mapping[str, Any]) -> bytes:
    """JSON text of a mapping whose first entry is the sha256 of all the bytes that follow it."""
    body = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()[1:]
    return b'{"sha256":"' + digest(body).encode() + b'",' + body


SEALED = re.compile(rb'\{"sha256":"([0-9a-f]{64})",')


def unseal(content: bytes) -> dict[str, Any]:
    """What `seal` was given; DamagedError if a single byte differs."""
    head = SEALED.match(content)
    if not head:
        raise DamagedError(
            "it is empty or cut short" if len(content) < 77 else "its head is damaged"
        )
    body = content[head.end() :]
    if digest(body).encode() != head[1]:
        raise DamagedError("its checksum does not match")
    plain: dict[str, Any] = json.loads(b"{" + body)
    return plain


_counter = itertools.count()


@functools.lru_cache(maxsize=1)
def _writer(pid: int) -> str:
    """Who writes: host.pid.token; the token tells this process from a dead one of equal pid."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60] or "host"
    return f"{host}.{pid}.{uuid.uuid4().hex[:8]}"


def temporary(scratch: Path, kind: str, name: str) -> Path:
    """A fresh path in `scratch` that says who makes it, of what kind it is, and for which name."""
    return scratch / f"{_writer(os.getpid())}.{next(_counter)}.{kind}.{name}"


def leftovers(scratch: Path) -> Iterator[tuple[Path, str, str]]:
    """(path, kind, name) of every temporary thing whose maker is dead."""
    try:
        entries = list(scratch.iterdir())
    except FileNotFoundError:
        return
    host, pid, token = _writer(os.getpid()).split(".")
    for path in entries:
        parts = path.name.split(".", 5)
        if len(parts) != 6 or not parts[1].isdigit():
            continue
        if parts[0] != host:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    yield path, parts[4], parts[5]
        elif (parts[1] == pid and parts[2] != token) or not alive(int(parts[1])):
            yield path, parts[4], parts[5]


def alive(pid: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def spare(folder: Path, name: str) -> Path:
    """A path in a folder, which is made, that begins with `name` and is not taken yet."""
    make_folder(folder)
    taken = (folder / f"{name}.{n}" for n in itertools.count())
    return next(path for path in taken if not path.exists())


def second_name(path: Path, target: Path) -> None:
    """Give a file a second name; a folder, or where links are unknown, is moved or copied."""
    if path.is_dir():
        path.rename(target)
        return
    try:
        target.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(path, target)


def set_aside(path: Path, corrupt: Path, reason: str) -> None:
    """Move a damaged file or folder under `corrupt` and warn; where that fails, only warn."""
    moved = "it counts as absent"
    try:
        target = spare(corrupt, path.name)
        path.rename(target)
        moved = f"set aside as {target}; it counts as absent"
    except FileNotFoundError:
        return  # another process was faster, and has warned
    except OSError as error:
        moved += f" (it could not be moved: {error.strerror})"
    warnings.warn(f"{path} is damaged: {reason}; {moved}.", LedgerWarning, stacklevel=4)


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold an advisory lock (flock) that the system drops when this process dies.

    LedgerBusyError names the holder if another process has it, unless `wait`.
    """
    with clear_errors("lock", path):
        make_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not system.lock(handle, wait=wait):
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            raise LedgerBusyError(
                f"{what} is in use by {holder}; wait for it to finish, or stop it first."
            )
        with contextlib.suppress(OSError):  # a full disk must not stop the locking
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(handle)
