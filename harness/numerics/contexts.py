"""From words or running text to arrays: codes, padded contexts, and the distinct ones among them.

Axes: N examples, T context, V vocabulary, C distinct contexts, P distinct (context, target) pairs.
A word of n characters gives n + 1 examples; the last one's target is the end mark, code 0, which
also fills the context before a word begins. In running text every character is one example, and
code 0 is a symbol of its own that only fills the context before the first ones.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

Codes = NDArray[np.int64]
END = "."
PACK_LIMIT = 2**62  # packed rows must stay inside int64


def code_points(text: str) -> NDArray[np.uint32]:
    """Unicode code points of a text, (N,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def closed(words: Sequence[str], end: str = END) -> str:
    """Every word followed by its end mark: "anna.bob."."""
    return "".join(f"{word}{end}" for word in words)


def vocabulary(words: Sequence[str], end: str = END) -> tuple[str, ...]:
    """The end mark (code 0), then every other symbol of the words in code-point order."""
    return symbols_of(closed(words, end), end)


def symbols_of(text: str, first: str) -> tuple[str, ...]:
    """`first` (code 0), then every other symbol of the text in code-point order."""
    points = np.unique(code_points(text))
    return (first, *(chr(p) for p in points.tolist() if p != ord(first)))


def encode_words(words: Sequence[str], symbols: Sequence[str]) -> Codes:
    """Targets y_N: the codes of every word's characters, each word closed by symbols[0], code 0.

    Every character must be among `symbols`, and none be symbols[0].
    """
    return encode_text(closed(words, symbols[0]), symbols)


def encode_text(text: str, symbols: Sequence[str]) -> Codes:
    """Targets y_N: the code of every character; each must be among `symbols`."""
    points = code_points(text)
    letters = np.array([ord(s) for s in symbols[1:]], dtype="<u4")
    found_N = np.searchsorted(letters, points) + 1
    return np.where(points == ord(symbols[0]), 0, found_N).astype(np.int64)


def encode_contexts(texts: Sequence[str], symbols: Sequence[str], T: int) -> Codes:
    """Contexts (B, T): the last T characters of each text as codes, shorter ones padded in front.

    DataError on a symbol that is not known; symbols[0] is allowed as padding alone.
    """
    pad, code = symbols[0], {symbol: i for i, symbol in enumerate(symbols)}
    rows = np.zeros((len(texts), T), dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        last = unicodedata.normalize("NFC", text).lstrip(pad)[-T:]
        for place, symbol in enumerate(last, T - len(last)):
            if symbol == pad or symbol not in code:
                allowed = shown("".join(sorted(code.keys() - {pad})), 120)
                raise DataError(
                    f"context {shown(text)} holds {symbol!r}; allowed: the symbols {allowed}, "
                    f"and {pad!r} in front as padding."
                )
            row[place] = code[symbol]
    return rows


def windows(y_N: Codes, T: int) -> Codes:
    """Contexts x_NT: the T codes before each target inside its own word, padded with 0 in front."""
    N = len(y_N)
    ends = np.flatnonzero(y_N == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    position_N = np.arange(N) - np.repeat(starts, ends - starts + 1)
    x_NT = np.zeros((N, T), dtype=np.int64)
    for back in range(1, min(T, N - 1) + 1):
        x_NT[back:, T - back] = np.where(position_N[back:] >= back, y_N[:-back], 0)
    return x_NT


def text_windows(y_N: Codes, T: int) -> Codes:
    """Contexts x_NT: the T codes before each target, padded with 0 before the first ones."""
    padded = np.concatenate([np.zeros(T, dtype=np.int64), y_N])
    return np.lib.stride_tricks.sliding_window_view(padded, T)[: len(y_N)].copy()


def rank_rows(rows_NT: Codes, V: int) -> tuple[Codes, Codes]:
    """Distinct rows (C, T) in lexicographic order, and which of them each row is (N,).

    Rows are packed into one integer each, base V; where that would overflow, the part packed so
    far is replaced by its rank, which keeps the order.
    """
    key_N = np.zeros(len(rows_NT), dtype=np.int64)
    size = 1
    for column_N in rows_NT.T:
        if size > PACK_LIMIT // V:
            kept, key_N = np.unique(key_N, return_inverse=True)
            size = len(kept)
        key_N = key_N * V + column_N
        size *= V
    _, first_C, index_N = np.unique(key_N, return_index=True, return_inverse=True)
    return rows_NT[first_C], index_N.astype(np.int64)


def count_pairs(context_N: Codes, y_N: Codes, V: int) -> tuple[Codes, Codes, Codes]:
    """Distinct (context, target) pairs: context index, target and count, each (P,), sorted."""
    key_P, count_P = np.unique(context_N * V + y_N, return_counts=True)
    return key_P // V, key_P % V, count_P.astype(np.int64)
