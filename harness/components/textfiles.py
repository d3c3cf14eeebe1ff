"""The user's files: checked before they are read, unpacked, decoded and normalised.

What is put right is said in notes; what cannot be put right is a DataError with the file, the line
and the remedy.
"""

from __future__ import annotations

import functools
import gzip
import io
import stat
import unicodedata
import zlib
from pathlib import Path

from harness.errors import DataError, nearest, shown

FILE_LIMIT = 256 * 2**20  # bytes
GZIP = b"\x1f\x8b"
PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def read_text(path: str, what: str) -> tuple[str, str, tuple[str, ...]]:
    """(text, how messages name the file, what was put right); cached until the file changes.

    what: the kind of file that was expected, with its article: "a UTF-8 word list".
    """
    return _read(*identity(path, what))


@functools.lru_cache(maxsize=4)
def _read(path: str, *_state: int) -> tuple[str, str, tuple[str, ...]]:
    """The file's size, time and inode only tell the cache when it has changed."""
    try:
        raw = Path(path).read_bytes()
    except OSError as err:
        raise DataError(
            f"data.path is {shown(path)}, which cannot be read: {err.strerror}; check the file's "
            "permissions."
        ) from None
    where, notes = f"data.path {shown(path)}", list[str]()
    if raw.startswith(GZIP):
        raw = _unpacked(raw, where)
        notes.append("unpacked by gzip")
    return decode(raw, where, notes), where, tuple(notes)


def identity(path: str, what: str) -> tuple[str, int, int, int]:
    """(path, size, mtime, inode) of a readable regular file, or a DataError saying what it is."""
    try:
        full = Path(path).expanduser()
        found = full.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"data.path is {shown(path)}, and there is no such file; give the path of {what}"
            f"{_beside(full)}"
        ) from None
    except (OSError, ValueError, RuntimeError) as err:  # too long, loop, closed, NUL, ~nobody
        reason = (isinstance(err, OSError) and err.strerror) or str(err)
        raise DataError(
            f"data.path is {shown(path)}, which cannot be read: {reason}; give the path of {what}."
        ) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a plain file"
        raise DataError(f"data.path is {shown(path)}, which is {kind}; give the path of {what}.")
    if found.st_size > FILE_LIMIT:
        raise DataError(
            f"data.path is {shown(path)}, a file of {found.st_size / 2**20:,.0f} MiB; allowed: at "
            f"most {FILE_LIMIT // 2**20} MiB. Take a part of it, for example `head -n 1000000`."
        )
    return str(full.resolve()), found.st_size, found.st_mtime_ns, found.st_ino


def _beside(full: Path) -> str:
    """The end of a message about a missing file: where it was looked for, and the nearest name."""
    try:
        folder = full.absolute().parent
        names = [entry.name for entry in folder.iterdir()]
        return f" (looked in {shown(str(folder))}).{nearest(full.name, names)}"
    except OSError:  # the folder is missing too, or closed to us
        return "."


def decode(raw: bytes, where: str, notes: list[str]) -> str:
    """UTF-8 in NFC with LF line ends; what was put right goes into `notes`."""
    packed = next((what for magic, what in PACKED.items() if raw.startswith(magic)), None)
    if packed:
        raise DataError(
            f"{where} is packed ({packed}); allowed: UTF-8 text, or such text packed by gzip "
            "(.gz). Unpack it first."
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"{where}, line 1: begins like UTF-16; allowed: UTF-8. Save it as UTF-8, for example "
            "`iconv -f UTF-16 -t UTF-8 old.txt > new.txt`."
        )
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        notes.append("byte order mark removed")
    if b"\r" in raw:
        notes.append("line ends other than LF (CRLF or CR) normalised")
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise DataError(
            f"{where}, line {line}: byte 0x{raw[err.start]:02x} is not UTF-8; allowed: UTF-8 "
            "text. Save the file as UTF-8, for example `iconv -f LATIN1 -t UTF-8 old.txt > "
            "new.txt`."
        ) from None
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        notes.append("letters and their combining marks joined (Unicode NFC)")
    return text


def _unpacked(raw: bytes, where: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(raw)) as file:
            content = file.read(FILE_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(
            f"{where} begins like a gzip file and cannot be unpacked: {err}; try `gunzip -t`, and "
            "fetch it again."
        ) from None
    if len(content) > FILE_LIMIT:
        raise DataError(
            f"{where} unpacks to more than {FILE_LIMIT // 2**20} MiB, which is the limit. Take a "
            "part of it, for example `zcat FILE | head -n 1000000 > part.txt`."
        )
    return content
