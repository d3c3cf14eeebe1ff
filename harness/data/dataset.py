"""One data set, ready to train on: split words, their examples, and the distinct ones counted.

`load_data` is cached in the process. Words are shuffled and cut as in the makemore lecture, so
with its settings the splits are the lecture's, to the example. Whole-split losses cost one pass
over the distinct (context, target) pairs of a `Split`, weighted by their counts: exact, and on
names some 30 times cheaper than all examples.

Axes: N examples, T context, V vocabulary, C distinct contexts, P distinct (context, target) pairs.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import system
from harness.components.biases import Targets
from harness.components.sources import Points, Text, Words
from harness.config.html import html_table
from harness.errors import DataError, shown
from harness.numerics.contexts import (
    Codes,
    count_pairs,
    encode_contexts,
    encode_text,
    encode_words,
    rank_rows,
    symbols_of,
    text_windows,
    vocabulary,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.config.groups import Data

Inputs = NDArray[Any]  # int64 codes (N, T), or float32 coordinates (N, 2) of a binary source
MEMORY_SHARE = 0.5  # of this machine's memory that one data set's arrays may take


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Split:
    """One split: every example in order, and the distinct ones with their counts.

    Shared between runs through a cache: read the arrays, never write into them.
    """

    words: tuple[str, ...]  # in shuffled order; empty for running text and binary sources
    x_NT: Inputs
    y_N: Codes  # codes of the targets, or labels -1 and +1
    contexts_CT: Inputs  # distinct rows of x_NT, in lexicographic order
    context_N: Codes  # x_NT[n] is contexts_CT[context_N[n]]
    pair_context_P: Codes  # index into contexts_CT; pairs sorted by context, then target
    pair_target_P: Codes
    pair_count_P: Codes  # sums to n

    def __repr__(self) -> str:
        words = f"{len(self.words):,} words, " if self.words else ""
        return f"<Split: {words}{self.n:,} examples, {len(self.contexts_CT):,} distinct inputs>"

    @property
    def n(self) -> int:
        """Number of examples: characters, end marks of words counted, or points."""
        return len(self.y_N)

    @property
    def x(self) -> Inputs:
        """x_NT by its short name."""
        return self.x_NT

    @property
    def y(self) -> Codes:
        """y_N by its short name."""
        return self.y_N


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dataset:
    """Splits of one source, its vocabulary, and what was noticed on the way."""

    name: str
    kind: str  # "classes": predict the next symbol; "binary": labels -1 and +1
    # symbols[0] is the end mark '.', or of running text the padding; the others sorted; empty for
    # binary sources
    symbols: tuple[str, ...]
    block_size: int
    sha256: str  # hex, of the normalised source before the split
    train: Split
    val: Split
    test: Split
    unigram: NDArray[np.float64]  # (V,) share of each target in training; may hold zeros. Binary:
    # (share of -1, share of +1)
    overlap_words: int = 0  # validation words (repeats counted) that also stand in training
    notes: tuple[str, ...] = ()
    oracle: dict[str, float] | None = None  # where the source is known exactly, see _oracle

    def __repr__(self) -> str:
        seen = f"{self.V} symbols, " if self.symbols else ""
        counts = ", ".join(f"{name} {getattr(self, name).n:,}" for name in self.held)
        return f"<Dataset {self.name}: {seen}examples: {counts}; sha256 {self.sha256[:8]}>"

    def _repr_html_(self) -> str:
        splits = [(name, getattr(self, name)) for name in self.held]
        rows = [
            (name, f"{len(one.words):,}", f"{one.n:,}", f"{len(one.contexts_CT):,}",
             ", ".join(one.words[:3]))
            for name, one in splits
        ]  # fmt: skip
        return html_table(repr(self)[1:-1], rows, ("split", "words", "examples", "distinct", ""))

    @property
    def V(self) -> int:
        """Outputs of a model: the vocabulary's size, or 1 for a binary source."""
        return len(self.symbols) or 1

    @property
    def held(self) -> tuple[str, ...]:
        """The splits that hold any example, in order: all three, or of few points perhaps one."""
        return tuple(name for name in ("train", "val", "test") if getattr(self, name).n)

    @property
    def targets(self) -> Targets:
        """What a bias may know of the training split."""
        return Targets(share=self.unigram, count=self.train.n, outputs=self.V)

    def encode(self, text: str | Sequence[str]) -> Codes:
        """Contexts (B, T) of one text or of several: its last block_size characters, as codes.

        Shorter texts are padded in front with symbols[0], and may hold such padding themselves.
        DataError on a symbol outside the vocabulary.
        """
        texts = [text] if isinstance(text, str) else list(text)
        return encode_contexts(texts, self.symbols, self.block_size)

    def decode(self, codes: Sequence[int] | Codes) -> str:
        """The text of a row of codes."""
        return "".join(self.symbols[int(code)] for code in codes)


def source_checksum(data: Data) -> str:
    """sha256 (hex) of the normalised source, before any split; builds no split."""
    return _source(data).sha256


def load_data(data: Data) -> Dataset:
    """The data set that these settings name; equal settings and content share one object.

    DataError where the source cannot be read, has too few words, or would not fit in memory.
    """
    settings = (
        data
        if data.unique_words is not None
        else dataclasses.replace(data, unique_words=data.spec.unique_words)
    )
    return _load(settings, source_checksum(data))


@functools.lru_cache(maxsize=8)
def _load(data: Data, sha256: str) -> Dataset:
    """The checksum tells the cache when the content behind equal settings has changed."""
    found = _source(data)
    if isinstance(found, Points):
        return _of_points(data, found, sha256)
    if isinstance(found, Text):
        return _of_text(data, found, sha256)
    return _of_words(data, found, sha256)


def _source(data: Data) -> Words | Text | Points:
    if data.spec.examples is not None:
        _refuse_too_large(data.spec.examples(data), data.block_size)
    found = data.spec.load(data)
    wanted = Points if data.spec.kind == "binary" else Text if data.spec.running else Words
    if not isinstance(found, wanted):
        raise DataError(
            f"data={data.name} gave a {type(found).__name__}; a source of kind "
            f"{data.spec.kind!r} gives {wanted.__name__}."
        )
    return found


def cuts(n: int, split: Sequence[float]) -> tuple[int, int]:
    """Where training and validation end among n shuffled items: int(.8 n) and int(.9 n)."""
    # rounding restores the decimal that was meant: .7 + .1 is .7999999999999999
    return int(split[0] * n), int(round(split[0] + split[1], 12) * n)


def _named(data: Data) -> str:
    return f"data={data.name}" + (f" ({shown(data.path)})" if data.path else "")


def _divide(n: int, data: Data, thing: str) -> tuple[int, int, int, str]:
    """(training items kept, end of training, end of validation, note); DataError if empty."""
    first, second = cuts(n, data.split)
    sizes = {"training": first, "validation": second - first, "test": n - second}
    shares = dict(zip(sizes, data.split, strict=True))
    empty = [name for name, size in sizes.items() if size < 1 and shares[name] > 0]
    if empty:
        raise DataError(
            f"the {' and '.join(empty)} split is empty: {_named(data)} has {n:,} "
            f"{'distinct ' if data.unique_words and thing == 'word' else ''}{thing}"
            f"{'' if n == 1 else 's'} and data.split is {list(data.split)}; allowed: at least one "
            f"{thing} in each. Give more {thing}s (30 or more) or a larger share."
        )
    kept = max(1, math.ceil(round(data.fraction * first, 9)))
    note = f"training keeps {kept:,} of {first:,} {thing}s (data.fraction={data.fraction:g})"
    return kept, first, second, note if kept < first else ""


def _of_words(data: Data, found: Words, sha256: str) -> Dataset:
    notes = list(found.notes)
    words = list(dict.fromkeys(found.words))
    repeats = len(found.words) - len(words)
    if repeats:
        done = "removed before the split" if data.unique_words else "kept"
        notes.append(f"{repeats:,} repeated word{'' if repeats == 1 else 's'} {done}")
    if not data.unique_words:
        words = list(found.words)
    symbols = found.symbols or vocabulary(words, found.end)
    if len(symbols) < 3:
        raise DataError(
            f"{_named(data)} has the single symbol {symbols[-1]!r}; there is nothing to learn. "
            "Give words of two symbols or more."
        )
    kept, first, second, note = _divide(len(words), data, "word")
    _refuse_too_large(sum(map(len, words)) + len(words), data.block_size)
    random.Random(data.split_seed).shuffle(words)  # as `random.seed(42); random.shuffle(words)`
    train, val, test = words[:kept], words[first:second], words[second:]
    seen = set(train)
    overlap = sum(word in seen for word in val)
    if note:
        notes.append(note)
    if overlap:
        share = f"{overlap:,} of {len(val):,} validation words ({overlap / len(val):.1%})"
        notes.append(f"{share} also stand in training")
    V = len(symbols)
    splits = [_word_split(part, symbols, data.block_size) for part in (train, val, test)]
    return Dataset(
        name=data.name, kind="classes", symbols=symbols, block_size=data.block_size,
        sha256=sha256, train=splits[0], val=splits[1], test=splits[2],
        unigram=np.bincount(splits[0].y_N, minlength=V) / splits[0].n,
        overlap_words=overlap, notes=tuple(notes), oracle=_oracle(data, splits),
    )  # fmt: skip


def _word_split(words: Sequence[str], symbols: tuple[str, ...], T: int) -> Split:
    y_N = encode_words(words, symbols)
    return _counted(windows(y_N, T), y_N, len(symbols), tuple(words))


def _of_text(data: Data, found: Text, sha256: str) -> Dataset:
    """Contiguous parts; the first contexts of a part reach into the one before it."""
    symbols = symbols_of(found.text, found.pad)
    if len(symbols) < 3:
        raise DataError(
            f"{_named(data)} has the single symbol {symbols[-1]!r}; there is nothing to learn. "
            "Give a text of two symbols or more."
        )
    kept, first, second, note = _divide(len(found.text), data, "character")
    _refuse_too_large(len(found.text), data.block_size)
    V = len(symbols)
    y_N = encode_text(found.text, symbols)
    x_NT = text_windows(y_N, data.block_size)
    parts = (slice(0, kept), slice(first, second), slice(second, None))
    splits = [_counted(x_NT[part], y_N[part], V) for part in parts]
    return Dataset(
        name=data.name, kind="classes", symbols=symbols, block_size=data.block_size,
        sha256=sha256, train=splits[0], val=splits[1], test=splits[2],
        unigram=np.bincount(splits[0].y_N, minlength=V) / splits[0].n,
        notes=(*found.notes, *([note] if note else [])),
    )  # fmt: skip


def _counted(x_NT: Codes, y_N: Codes, V: int, words: tuple[str, ...] = ()) -> Split:
    contexts_CT, context_N = rank_rows(x_NT, V)
    pair_context_P, pair_target_P, pair_count_P = count_pairs(context_N, y_N, V)
    return Split(
        words=words, x_NT=x_NT, y_N=y_N, contexts_CT=contexts_CT, context_N=context_N,
        pair_context_P=pair_context_P, pair_target_P=pair_target_P, pair_count_P=pair_count_P,
    )  # fmt: skip


def _oracle(data: Data, splits: Sequence[Split]) -> dict[str, float] | None:
    """What is known exactly of the source (see SourceSpec), and n_<split> examples; or None."""
    if data.spec.oracle is None:
        return None
    named = dict(zip(("train", "val", "test"), splits, strict=True))
    out = data.spec.oracle(data, {name: split.words for name, split in named.items()})
    return out | {f"n_{name}": float(split.n) for name, split in named.items()}


def _of_points(data: Data, found: Points, sha256: str) -> Dataset:
    x_NI, y_N = found.x_NI, found.y_N
    kept, first, second, note = _divide(len(y_N), data, "point")
    order = list(range(len(y_N)))
    random.Random(data.split_seed).shuffle(order)
    parts = (order[:kept], order[first:second], order[second:])
    train, val, test = (_point_split(x_NI[part], y_N[part]) for part in parts)
    counts = Counter(train.y_N.tolist())
    return Dataset(
        name=data.name, kind="binary", symbols=(), block_size=data.block_size, sha256=sha256,
        train=train, val=val, test=test,
        unigram=np.array([counts[-1], counts[1]]) / train.n,
        notes=(*found.notes, note) if note else found.notes,
    )  # fmt: skip


def _point_split(x_NI: NDArray[np.float32], y_N: Codes) -> Split:
    index_N = np.arange(len(y_N))
    return Split(
        words=(), x_NT=x_NI, y_N=y_N, contexts_CT=x_NI, context_N=index_N,
        pair_context_P=index_N, pair_target_P=y_N, pair_count_P=np.ones_like(y_N),
    )  # fmt: skip


def _refuse_too_large(examples: int, block_size: int) -> None:
    """DataError before allocating, where the arrays would not fit beside everything else."""
    need = examples * (3 * block_size + 12) * 8  # contexts, their copies while ranking, indices
    have = system.total_memory()
    if have is not None and need > MEMORY_SHARE * have:
        raise DataError(
            f"the data need about {system.gib(need)} ({examples:,} examples of "
            f"data.block_size={block_size}); allowed: {MEMORY_SHARE:.0%} of this machine's "
            f"{system.gib(have)}. Take fewer words or a smaller block_size."
        )
