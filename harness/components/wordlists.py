"""Word lists: checked and normalised, whether shipped, downloaded or the user's own file.

A list is UTF-8 text, one word a line, or one column of a table. What is put right is said in
`Words.notes`; what cannot be put right is a DataError with the file, the line and the remedy.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import re
from collections.abc import Iterator
from importlib import resources

from harness.components.sources import Words
from harness.components.textfiles import decode, read_text
from harness.components.wordnotes import odd_notes
from harness.errors import DataError, nearest, shown
from harness.numerics.contexts import END

WORD_LIMIT = 1000  # characters; a longer "word" is nearly always a file without line ends
# control characters but tab and line feed, line and paragraph separators, a BOM inside the text
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def parse_words(raw: bytes, where: str) -> Words:
    """Decode, normalise and check a word list; `where` names it in messages."""
    notes: list[str] = []
    return words_of(decode(raw, where, notes), where, tuple(notes))


@functools.lru_cache(maxsize=8)
def words_of(
    text: str, where: str, noted: tuple[str, ...] = (), end: str = END, column: str | None = None
) -> Words:
    """Check and normalise a word list of which `noted` was put right already.

    end: the end mark, which no word may hold. column: a header's name or a number from 1, where
    the words are a column of a table.
    """
    notes = list(noted)
    bad = _FORBIDDEN.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise DataError(
            f"{where}, line {line}: the control character U+{ord(bad.group()):04X}; allowed: "
            "plain UTF-8 text, one word a line. Is this a text file? Remove the character."
        )
    lines = text.split("\n") if column is None else _column(text, column, where)
    if lines and not lines[-1]:
        lines.pop()  # the file's last line end starts no new line
    stripped = [line.strip() for line in lines]
    words = tuple(word for word in stripped if word)
    _refuse_bad_words(stripped, words, where, end)
    if len(words) < len(lines):
        notes.append(f"{_number(len(lines) - len(words), 'blank line')} skipped")
    trimmed = sum(line != word for line, word in zip(lines, stripped, strict=True) if word)
    if trimmed:
        notes.append(f"spaces around {_number(trimmed, 'word')} removed")
    if not words:
        raise DataError(f"{where} holds no words; give a UTF-8 file with one word a line.")
    if end != END:
        notes.append(f"words end in {end!r} in place of {END!r} (data.end)")
    notes += odd_notes(words)
    return Words(words=words, notes=tuple(notes), end=end)


def _column(text: str, column: str, where: str) -> list[str]:
    """The cells of one column of a table, its header left out where `column` is a name."""
    rows = [row for row in table_rows(text) if row]
    wide = len(rows[0]) if rows else 0
    if column in (rows[0] if rows else ()):
        place = rows[0].index(column)
        return [row[place] if place < len(row) else "" for row in rows[1:]]
    if column.isdecimal() and 1 <= int(column) <= wide:
        return [row[int(column) - 1] if int(column) <= len(row) else "" for row in rows]
    names = ", ".join(map(shown, rows[0])) if rows else "none"
    raise DataError(
        f"data.column is {shown(column)}; allowed for {where}: a number from 1 to {wide}, or a "
        f"name of its first line: {names}.{nearest(column, rows[0] if rows else [])}"
    )


def table_rows(text: str) -> Iterator[list[str]]:
    """A table's rows; columns are separated by whichever of , ; tab | its first line has most."""
    first = text.lstrip("\n").partition("\n")[0]
    return csv.reader(io.StringIO(text), delimiter=max(",;\t|", key=first.count))


def _number(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def _refuse_bad_words(stripped: list[str], words: tuple[str, ...], where: str, end: str) -> None:
    ending = f"has a {end!r}, which marks the end of a word here; "
    other = next(mark for mark in "|;#~^\u2400" if not any(mark in word for word in words))
    for bad, reason in (
        (end, f"{ending}let another symbol do that: data.end={shown(other)}"),
        (
            "\t",
            "has a tab inside; allowed: one word a line. Name the table's column: data.column=1",
        ),
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


def read_file(path: str, end: str = END, column: str | None = None) -> Words:
    """The words of the user's file; read again only where it has changed."""
    return words_of(*read_text(path, "a UTF-8 word list"), end, column)
