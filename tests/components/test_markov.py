"""The source of known entropy: its numbers by hand, by linear algebra and by large samples."""

import math

import numpy as np
import pytest

from harness.components.sources.markov import SYMBOLS, V, draw_words, oracle_nll, solve, source
from harness.config.groups import Data
from harness.data.baselines import ngram_nll
from harness.data.dataset import load_data


def test_by_hand():
    """One letter, ending with chance 1/4 after it: length 4, entropy H(1/4) on 4 of 5 steps."""
    table_SV = np.zeros((V * V, V))
    table_SV[:, 0], table_SV[:, 1] = 0.25, 0.75
    table_SV[0] = 0.0
    table_SV[0, 1] = 1.0  # a word always begins with 'a'
    known = solve(table_SV)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    # geometric: mean length 1/.25 = 4, and 5 symbols a word, the first of them certain
    assert known.mean_length == pytest.approx(4, rel=1e-12)
    assert known.entropy_rate == pytest.approx(4 / 5 * entropy, rel=1e-12)
    assert known.entropy_rate_1 == pytest.approx(known.entropy_rate, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_proper_source(seed):
    """Rows sum to 1, no word is empty, words look like names in length and entropy."""
    known = source(seed)
    assert np.allclose(known.table_SV.sum(axis=1), 1, rtol=1e-14, atol=0)
    assert known.table_SV[0, 0] == 0 and (known.table_SV[1:] > 0).all()
    assert 5 < known.mean_length < 8
    assert 1.8 < known.entropy_rate < 2.4
    assert known.entropy_rate < known.entropy_rate_1 < math.log(27)  # forgetting costs
    assert known.floor(1) == known.entropy_rate_1
    assert known.floor(2) == known.floor(9) == known.entropy_rate


@pytest.mark.parametrize("seed", [0, 5])
def test_large_samples_agree(seed):
    """60,000 words: mean length and oracle NLL lie within 4 standard errors of the exact values."""
    words = draw_words(seed, 60_000)
    known = source(seed)
    lengths = np.array([len(word) for word in words])
    error = lengths.std() / math.sqrt(len(words))
    assert abs(lengths.mean() - known.mean_length) < 4 * error
    nll, error = oracle_nll(seed, words)
    assert abs(nll - known.entropy_rate) < 4 * error
    assert error < 0.005  # so that the line above says something


def test_block_size_1_floor_is_a_bigram_limit():
    """Bigram counts of 60,000 words approach the marginalised floor, not the entropy rate."""
    data = load_data(Data(name="markov", words=60_000, block_size=1))
    counted = ngram_nll(data, 1)
    assert data.oracle is not None
    assert counted["val"] == pytest.approx(data.oracle["floor"], abs=0.03)  # 4 SE of 6,000 words
    assert data.oracle["floor"] - data.oracle["entropy_rate"] > 0.2


def test_raw_counts_dip_below_the_oracle():
    """Order-2 counts fit their own sample better than the source does, less so with more words."""
    dips = []
    for words in (1000, 5000, 30000):
        data = load_data(Data(name="markov", words=words))
        assert data.oracle is not None
        dips.append(data.oracle["nll_train"] - ngram_nll(data, 2, 0.0)["train"])
    assert dips[0] > dips[1] > dips[2] > 0


def test_draws_only_grow():
    """More words begin with the same ones, across the block of 4,096; seeds differ; no word is
    empty."""
    long = draw_words(3, 5000)
    assert draw_words(3, 4097) == long[:4097] and draw_words(3, 10) == long[:10]
    assert draw_words(4, 10) != long[:10]
    assert min(map(len, long)) >= 1
    assert draw_words(0, 3) == (
        "qpxlpmcco",
        "in",
        "qt",
    )  # first run of this source; a change alters every markov run


def test_data_set_keeps_repeats_and_all_letters():
    """Repeats stay unless asked otherwise, and a small sample still has the 27 symbols."""
    data = load_data(Data(name="markov", words=40))
    assert data.symbols == SYMBOLS and data.V == 27
    repeated = load_data(Data(name="markov"))
    assert len({*repeated.train.words}) < len(repeated.train.words)
    assert data.oracle is not None
    assert data.oracle["n_train"] == data.train.n
    assert all(math.isfinite(value) for value in data.oracle.values())
