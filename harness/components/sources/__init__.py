"""Where data come from: one module each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from harness.components.lazy import lazy
from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy("numpy")

NATS = "nats/char"


class Settings(Protocol):
    """The settings of the group `data` that a source may read."""

    @property
    def path(self) -> str | None:
        """A file that the user brings."""

    @property
    def end(self) -> str:
        """The end mark of words."""

    @property
    def column(self) -> str | None:
        """Which column of a table holds the words."""

    @property
    def words(self) -> int:
        """How many words or points to draw."""

    @property
    def source_seed(self) -> int:
        """Seed of what is drawn."""

    @property
    def block_size(self) -> int:
        """Characters of context."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """Words in order, repeats kept; none is empty or holds the end mark.

    notes: what was put right or is odd, in plain language. symbols: the alphabet, the end mark
    first, where it is known apart from the words; None: what occurs in them, sorted.
    """

    words: tuple[str, ...]
    notes: tuple[str, ...] = ()
    symbols: tuple[str, ...] | None = None
    end: str = "."

    @cached_property
    def sha256(self) -> str:
        """Hex, over the words joined by line feeds, so that it names the content alone."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """Running text, each character of which is to be predicted from those before it.

    notes: as those of Words. pad: a symbol that does not occur in it, which fills the contexts of
    its first characters.
    """

    text: str
    pad: str
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Hex, over the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Points in a plane or any space of dense inputs, in random order.

    x_NI: (N, I) float32; y_N: (N,) int64, labels -1 and +1. notes: as those of Words.
    """

    x_NI: NDArray[np.float32]
    y_N: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Hex, over inputs and labels as little-endian bytes."""
        content = self.x_NI.astype("<f4").tobytes() + self.y_N.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SourceSpec(Spec):
    """One source. Only `load` is required.

    load(settings) -> Words, Text or Points, as `kind` and `running` say. It is called more than
    once a sweep: keep what is slow to get. DataError, with a remedy, where it cannot.
    kind: "classes": words or text, whose next symbol is to be predicted; "binary": points with
    labels -1 and +1. A loss must be of the same kind.
    running: running text, which is cut into contiguous splits; else words or points, shuffled.
    unit: of the negative log likelihood on these data.
    unique_words: what `data.unique_words=null` means: whether repeats are dropped before the split.
    reads: which of data.path, data.end, data.column, data.words and data.source_seed have a
    meaning, by their last part;
    path: what data.path must be, in words and with an example, where it has to be given.
    examples(settings) -> about how many examples there will be, for a source that could draw more
    than fit into memory.
    oracle(settings, words by split) -> what is known exactly of the source, in nats per character:
    "floor", the lowest expected NLL at this block_size; "entropy_rate"; "mean_length" of a word;
    and for every split "nll_<split>", the true source on these very words, and its standard error
    "se_<split>".
    """

    load: Callable[[Settings], Words | Text | Points]
    kind: Literal["classes", "binary"] = "classes"
    running: bool = False
    unit: str = NATS
    unique_words: bool = True
    reads: tuple[str, ...] = ()
    path: str = ""
    examples: Callable[[Settings], int] | None = None
    oracle: Callable[[Settings, Mapping[str, Sequence[str]]], dict[str, float]] | None = None


SOURCES: Registry[SourceSpec] = Registry("data source", SourceSpec, __name__)


def balanced_labels(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Labels (n,), as many of -1 as of +1 (one more where n is odd), shuffled."""
    y_N = np.where(np.arange(n) % 2 == 0, -1, 1).astype(np.int64)
    return rng.permutation(y_N)
