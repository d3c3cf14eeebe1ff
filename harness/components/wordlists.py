"""Word lists: read, checked and normalised, whether shipped, downloaded or the user's own file.

A list is UTF-8 text, one word a line. What is put right is said in `Words.notes`; what cannot
be put right is a DataError with the file, the line and the remedy.
"""

from __future__ import annotations

import functools
import gzip
import io
import re
import stat
import unicodedata
import zlib
from importlib import resources
from pathlib import Path

from harness.components.sources import Words
from harness.components.wordnotes import odd_notes
from harness.errors import DataError, nearest, shown
from harness.numerics.contexts import END

FILE_LIMIT = 256 * 2**20  # bytes
WORD_LIMIT = 1000  # characters; a longer "word" is nearly always a file without line ends
GZIP = b"\x1f\x8b"
PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# control characters but tab and line feed, line and paragraph separators, a BOM inside the text
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def parse_words(raw: bytes, where: str) -> Words:
    """Decode, normalise and check a word list; `where` names it in messages."""
    notes: list[str] = []
    text = _decode(raw, where, notes)
    bad = _FORBIDDEN.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise DataError(
            f"{where}, line {line}: the control character U+{ord(bad.group()):04X}; allowed: "
            "plain UTF-8 text, one word a line. Is this a text file? Remove the character."
        )
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # the file's last line end starts no new line
    stripped = [line.strip() for line in lines]
    words = tuple(word for word in stripped if word)
    _refuse_bad_words(stripped, words, where)
    if len(words) < len(lines):
        notes.append(f"{_number(len(lines) - len(words), 'blank line')} skipped")
    trimmed = sum(line != word for line, word in zip(lines, stripped, strict=True) if word)
    if trimmed:
        notes.append(f"spaces around {_number(trimmed, 'word')} removed")
    if not words:
        raise DataError(f"{where} holds no words; give a UTF-8 file with one word a line.")
    notes += odd_notes(words)
    return Words(words=words, notes=tuple(notes))


def _number(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def _decode(raw: bytes, where: str, notes: list[str]) -> str:
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


def _refuse_bad_words(stripped: list[str], words: tuple[str, ...], where: str) -> None:
    for bad, reason in (
        (END, "has a '.', which marks the end of a word here; remove it or put another sign"),
        ("\t", "has a tab inside; allowed: one word a line. Keep one column of the table"),
    ):
        if any(bad in word for word in words):
            line, word = next((i, w) for i, w in enumerate(stripped, 1) if bad in w)
            raise DataError(f"{where}, line {line}: the word {shown(word, 40)} {reason}.")
    if max(map(len, words), default=0) > WORD_LIMIT:
        line, word = next((i, w) for i, w in enumerate(stripped, 1) if len(w) > WORD_LIMIT)
        raise DataError(
            f"{where}, line {line}: a word of {len(word):,} characters, {shown(word[:30], 40)}...; "
            f"allowed: at most {WORD_LIMIT:,}. Put one word on each line."
        )


@functools.cache
def shipped(file: str) -> Words:
    """A list that comes with the package, by its file name; `.gz` is unpacked."""
    raw = (resources.files("harness.components.sources") / "wordlists" / file).read_bytes()
    if file.endswith(".gz"):
        raw = gzip.decompress(raw)
    return parse_words(raw, f"the shipped list {file}")


def read_file(path: str) -> Words:
    """The words of a file of the user's; cached by path, size, time and inode."""
    return _read_file(*_identity(path))


def _identity(path: str) -> tuple[str, int, int, int]:
    """(path, size, mtime, inode) of a readable regular file, or a DataError saying what it is."""
    try:
        full = Path(path).expanduser()
        found = full.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"data.path is {shown(path)}, and there is no such file; give the path of a UTF-8 "
            f"word list{_beside(full)}"
        ) from None
    except (OSError, ValueError, RuntimeError) as err:  # too long, loop, closed, NUL, ~nobody
        reason = (isinstance(err, OSError) and err.strerror) or str(err)
        raise DataError(
            f"data.path is {shown(path)}, which cannot be read: {reason}; give the path of a "
            "UTF-8 word list."
        ) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a plain file"
        raise DataError(
            f"data.path is {shown(path)}, which is {kind}; give the path of a UTF-8 word list."
        )
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


@functools.lru_cache(maxsize=8)
def _read_file(path: str, *_state: int) -> Words:
    """Read and parse; the file's size, time and inode only tell the cache when it has changed."""
    try:
        raw = Path(path).read_bytes()
    except OSError as err:
        raise DataError(
            f"data.path is {shown(path)}, which cannot be read: {err.strerror}; check the file's "
            "permissions."
        ) from None
    where = f"data.path {shown(path)}"
    if raw.startswith(GZIP):
        found = parse_words(_unpacked(raw, where), where)
        return Words(words=found.words, notes=("unpacked by gzip", *found.notes))
    return parse_words(raw, where)


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
