"""Codes, contexts and counts against the lecture's own loops, for any alphabet and block size."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.numerics import contexts
from harness.numerics.contexts import count_pairs, encode_words, rank_rows, vocabulary, windows

letters = st.text(st.sampled_from("abz-' é美😀"), min_size=1, max_size=8)
word_lists = st.lists(letters, min_size=1, max_size=12)


def lecture_examples(words: list[str], T: int) -> list[tuple[str, str]]:
    """build_dataset of the makemore lecture, on symbols: [(context, target)]."""
    out = []
    for word in words:
        context = ["."] * T
        for symbol in [*word, "."]:
            out.append(("".join(context), symbol))
            context = [*context[1:], symbol]
    return out


def decoded_examples(words: list[str], T: int) -> list[tuple[str, str]]:
    symbols = vocabulary(words)
    y_N = encode_words(words, symbols)
    x_NT = windows(y_N, T)
    return [
        ("".join(symbols[c] for c in row), symbols[y])
        for row, y in zip(x_NT.tolist(), y_N.tolist(), strict=True)
    ]


def test_emma_by_hand():
    """The lecture's first example, context 3: ... -> e, ..e -> m, .em -> m, emm -> a, mma -> ."""
    want = [("...", "e"), ("..e", "m"), (".em", "m"), ("emm", "a"), ("mma", ".")]
    assert decoded_examples(["emma"], 3) == want


def test_end_mark_is_code_zero():
    """'.' is 0 even beside symbols that sort before it; the rest is sorted by code point."""
    assert vocabulary(["o'b-c", "a d"]) == (".", " ", "'", "-", "a", "b", "c", "d", "o")
    assert encode_words(["a-"], (".", "-", "a")).tolist() == [2, 1, 0]


@given(word_lists, st.integers(1, 10))
@settings(max_examples=150, deadline=None)
def test_contexts_match_the_lecture(words, T):
    """Vectorised contexts and targets equal the lecture's loops, decoded back to text."""
    assert decoded_examples(words, T) == lecture_examples(words, T)


@given(word_lists, st.integers(1, 5), st.sampled_from([2**62, 100]))
@settings(max_examples=150, deadline=None)
def test_distinct_pairs_are_a_count(words, T, limit):
    """Distinct contexts and pairs are sorted and count every example, packed or rank by rank."""
    V = len(vocabulary(words))
    y_N = encode_words(words, vocabulary(words))
    x_NT = windows(y_N, T)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contexts, "PACK_LIMIT", limit)  # 100: packing overflows at the second symbol
        rows_CT, index_N = rank_rows(x_NT, V)
    context_P, target_P, count_P = count_pairs(index_N, y_N, V)
    assert np.array_equal(rows_CT[index_N], x_NT)
    want = Counter((tuple(row), y) for row, y in zip(x_NT.tolist(), y_N.tolist(), strict=True))
    assert [tuple(row) for row in rows_CT.tolist()] == sorted({row for row, _ in want})
    got = {
        (tuple(rows_CT[c].tolist()), int(t)): int(n)
        for c, t, n in zip(context_P, target_P, count_P, strict=True)
    }
    assert got == want and list(got) == sorted(want)


@given(word_lists, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_of_words_changes_no_count(words, rng):
    """Shuffling the words leaves the distinct pairs and their counts as they are."""
    symbols = vocabulary(words)
    results = []
    for _ in range(2):
        y_N = encode_words(words, symbols)
        rows_CT, index_N = rank_rows(windows(y_N, 3), len(symbols))
        results.append([rows_CT, *count_pairs(index_N, y_N, len(symbols))])
        words = rng.sample(words, len(words))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)


def test_long_contexts_do_not_overflow():
    """64 columns of 27 symbols (27^64 rows are possible) rank as numpy ranks whole rows."""
    rows_NT = np.random.default_rng(0).integers(0, 2, (400, 64)) * 26
    rows_NT[::2] = rows_NT[1::2]  # each row twice, so that there is something to merge
    want_CT, want_N = np.unique(rows_NT, axis=0, return_inverse=True)
    rows_CT, index_N = rank_rows(rows_NT, 27)
    assert len(rows_CT) == 200
    assert np.array_equal(rows_CT, want_CT) and np.array_equal(index_N, want_N.ravel())
