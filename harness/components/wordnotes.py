"""What is odd about a word list though it can be used: counted and said, never changed.

A look-alike is not corrected: a soft hyphen or a space of another kind may be what is to be
learned.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

JOINERS = "\u200c\u200d"  # Persian and Indic spelling and emoji need them
COLUMNS = ",;|"
TABLE_SHARE = 0.95  # of lines with equally many commas: from there on a table


def odd_notes(words: Sequence[str]) -> Iterator[str]:
    """One note a kind of oddity: invisible characters, spaces of other kinds, a table."""
    if not all(map(str.isascii, words)):
        yield from _unseen(words)
    yield from _table(words)


def _unseen(words: Sequence[str]) -> Iterator[str]:
    counts = Counter(char for word in words if not word.isascii() for char in set(word))
    hidden = {c: n for c, n in counts.items() if _invisible(c)}
    spaces = {c: n for c, n in counts.items() if c != " " and unicodedata.category(c) == "Zs"}
    if hidden:
        yield (
            f"characters that nobody sees, each a symbol of its own: {_named(hidden)}; words that "
            "look alike may differ"
        )
    if spaces:
        yield f"spaces of another kind, each a symbol beside the plain one: {_named(spaces)}"


def _invisible(char: str) -> bool:
    return unicodedata.category(char) == "Cf" and char not in JOINERS


def _named(found: dict[str, int]) -> str:
    return ", ".join(
        f"{unicodedata.name(char, 'unnamed').lower()} (U+{ord(char):04X}) in {count:,} "
        f"word{'' if count == 1 else 's'}"
        for char, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def _table(words: Sequence[str]) -> Iterator[str]:
    for sign in COLUMNS:
        counts = Counter(word.count(sign) for word in words)
        (most, lines), *_ = counts.most_common(1)
        if most and len(words) > 1 and lines >= TABLE_SHARE * len(words):
            yield (
                f"{lines:,} of {len(words):,} lines have {most} '{sign}', as a table of {most + 1} "
                "columns has, and each whole line is taken as a word; data.column=1, or a name of "
                "the first line, takes one column"
            )
