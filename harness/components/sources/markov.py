"""Words from an order-2 Markov source, whose entropy is known exactly.

Twenty-six letters and an end mark; the next symbol depends on the last two, and a word begins in
the state ('.', '.'), where it cannot end. States are the V*V = 729 ordered pairs (a, b), coded
a*V + b; those with b = '.' other than the start are never visited. What a learner of any kind can
reach is `floor`; what the true source scores on the very words drawn is `oracle_nll`, the fairer
yardstick, since a sample's own luck is in it.

Axes: S states, V symbols, N examples, W words.
"""

from __future__ import annotations

import functools
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.components.sources import Settings, SourceSpec, Words
from harness.numerics.contexts import END, encode_words, windows
from harness.numerics.randomness import stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Reals = NDArray[np.float64]
SYMBOLS = (END, *string.ascii_lowercase)
V = len(SYMBOLS)
BLOCK = 4096  # words drawn at once from one named stream
END_LOGIT = -1.7  # with unit spread: a mean length of 6 to 7 letters, as in lists of given names
FIRST_END = 0.01  # chance that a word has one letter only
GRAIN = 2**24  # probabilities are whole multiples of about 1/GRAIN, alike on every platform


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A transition table and what follows from it.

    table_SV: P(next | state), (729, 27), rows sum to 1, table_SV[0, 0] = 0.
    visits_S: expected visits to each state in one word.
    mean_length: expected letters a word, end mark not counted.
    entropy_rate: nats per character (end mark counted), the floor for two or more characters of
    context; entropy_rate_1: the floor for one character of context.
    """

    table_SV: Reals
    visits_S: Reals
    mean_length: float
    entropy_rate: float
    entropy_rate_1: float

    def floor(self, block_size: int) -> float:
        """Lowest expected NLL of any model that sees `block_size` characters, nats/char."""
        return self.entropy_rate if block_size >= 2 else self.entropy_rate_1


@functools.lru_cache(maxsize=16)
def source(seed: int) -> Source:
    """The source of one seed: log-odds N(0, 1) per letter, letter pair and letter triple."""
    rng = stream(seed, "markov/table")
    letter_V = rng.standard_normal(V - 1)
    pair_VV = rng.standard_normal((V, V - 1))
    triple_VVV = rng.standard_normal((V, V, V - 1))
    weight_VVV = np.exp(letter_V + pair_VV + triple_VVV)
    weight_VVV /= weight_VVV.sum(axis=2, keepdims=True)
    end_VV = 1 / (1 + np.exp(-END_LOGIT - rng.standard_normal((V, V))))
    end_VV[0, :] = FIRST_END  # after one letter
    end_VV[0, 0] = 0.0  # no empty words
    table_VVV = np.concatenate([end_VV[:, :, None], weight_VVV * (1 - end_VV[:, :, None])], axis=2)
    count_SV = np.rint(table_VVV.reshape(V * V, V) * GRAIN)
    return solve(count_SV / count_SV.sum(axis=1, keepdims=True))


def solve(table_SV: Reals) -> Source:
    """Exact visits, mean length and entropy rates of a table (729, 27).

    visits v = (I - Q^T)^-1 alpha, Q the moves between states that do not end the word and alpha
    all on the start state; sum v = mean length + 1. Entropy rate = sum v H(P(.|state)) / sum v.
    One character of context sees the mixture of the states that end in it, weighted by v.
    """
    S = V * V
    moves_SS = np.zeros((S, S))
    for state in range(S):
        last = state % V
        moves_SS[state, last * V + 1 : (last + 1) * V] = table_SV[state, 1:]
    begin_S = np.zeros(S)
    begin_S[0] = 1.0
    visits_S: Reals = np.linalg.solve(np.eye(S) - moves_SS.T, begin_S).astype(np.float64)
    total = float(visits_S.sum())
    mass_SV = visits_S[:, None] * table_SV
    mass_VV = mass_SV.reshape(V, V, V).sum(axis=0)  # (last, next)
    return Source(
        table_SV=table_SV,
        visits_S=visits_S,
        mean_length=total - 1,
        entropy_rate=_conditional(mass_SV) / total,
        entropy_rate_1=_conditional(mass_VV) / total,
    )


def _conditional(mass_SV: Reals) -> float:
    """-sum mass log(mass / row sum), with 0 log 0 = 0."""
    row_S = mass_SV.sum(axis=1, keepdims=True)
    share_SV = np.divide(mass_SV, row_S, out=np.ones_like(mass_SV), where=mass_SV > 0)
    return float(-(mass_SV * np.log(share_SV)).sum())


def draw_words(seed: int, n: int) -> tuple[str, ...]:
    """The first n words of the source of one seed; a larger n only adds words at the end."""
    words: list[str] = []
    cumulative_SV = np.cumsum(source(seed).table_SV, axis=1)
    cumulative_SV[:, -1] = 1.0
    for block in range(-(-n // BLOCK)):
        words += _draw_block(cumulative_SV, stream(seed, f"markov/words/{block}"))
    return tuple(words[:n])


def _draw_block(cumulative_SV: Reals, rng: np.random.Generator) -> list[str]:
    """BLOCK words, all advanced together; a finished word goes on drawing what it does not use."""
    state_W = np.zeros(BLOCK, dtype=np.int64)
    alive_W = np.ones(BLOCK, dtype=bool)
    letters: list[NDArray[np.uint8]] = []
    while alive_W.any():
        u_W = rng.random(BLOCK)
        next_W = (cumulative_SV[state_W] <= u_W[:, None]).sum(axis=1)
        alive_W &= next_W > 0
        letters.append(np.where(alive_W, next_W + ord("a") - 1, 0).astype(np.uint8))
        state_W = np.where(alive_W, state_W % V * V + next_W, 0)
    rows = np.ascontiguousarray(np.stack(letters, axis=1)).view(f"S{len(letters)}")[:, 0]
    return [word.decode() for word in rows.tolist()]  # bytes strings end at the first zero


def oracle_nll(seed: int, words: Sequence[str]) -> tuple[float, float]:
    """NLL of these words under their true source, nats/char, and its standard error.

    The error is that of a ratio of sums over words (nats over characters), words independent.
    """
    y_N = encode_words(words, SYMBOLS)
    x_NT = windows(y_N, 2)
    nll_N = -np.log(source(seed).table_SV[x_NT[:, 0] * V + x_NT[:, 1], y_N])
    first_W = np.concatenate([[0], np.flatnonzero(y_N == 0)[:-1] + 1])
    nll_W = np.add.reduceat(nll_N, first_W)
    size_W = np.add.reduceat(np.ones(len(y_N)), first_W)
    mean = float(nll_N.mean())
    W = len(words)
    error = float(np.sqrt(np.mean((nll_W - mean * size_W) ** 2) / W) / size_W.mean())
    return mean, error


@functools.lru_cache(maxsize=2)
def _drawn(seed: int, n: int) -> Words:
    return Words(words=draw_words(seed, n), symbols=SYMBOLS)


def load(settings: Settings) -> Words:
    """data.words words of data.source_seed."""
    return _drawn(settings.source_seed, settings.words)


def oracle(settings: Settings, words: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """What is known exactly, as SourceSpec says; the floor is the entropy rate from 2 on."""
    known = source(settings.source_seed)
    out = {
        "floor": known.floor(settings.block_size),
        "entropy_rate": known.entropy_rate,
        "mean_length": known.mean_length,
    }
    for name, own in words.items():
        out[f"nll_{name}"], out[f"se_{name}"] = oracle_nll(settings.source_seed, own)
    return out


SPEC = SourceSpec(
    load=load,
    unique_words=False,  # dropping repeats would change the source's entropy
    reads=("words", "source_seed"),
    examples=lambda settings: settings.words * 8,  # about 8 characters a word
    oracle=oracle,
    summary="words of an order-2 source of exactly known entropy, 26 letters",
)
