"""Count models against published tables, plain loops and each other."""

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.config.groups import Data
from harness.data.baselines import floors, ngram_nll
from harness.data.dataset import Dataset, load_data
from harness.errors import ConfigError


@pytest.fixture(scope="module")
def lecture():
    path = os.environ.get("HARNESS_TEST_NAMES", "")
    if not Path(path).is_file():
        pytest.skip("HARNESS_TEST_NAMES names no file")
    return load_data(Data(name="makemore", path=path, unique_words=False))


@pytest.mark.parametrize(
    ("context", "add", "want"),
    # counted with dictionaries over the lecture's split (80/10/10 after random.seed(42))
    [
        (0, 0.0, {"train": 2.8226, "val": 2.8210}),
        (1, 0.1, {"train": 2.4542, "val": 2.4531, "test": 2.4580}),
        (2, 0.1, {"train": 2.1874, "val": 2.2225, "test": 2.2240}),
        (3, 0.1, {"train": 1.9187, "val": 2.1018, "test": 2.1044}),
        (3, 0.0, {"train": 1.8691}),
    ],
)
def test_counts_on_the_lecture_names(lecture, context, add, want):
    """Unigram to 4-gram reproduce the table, to its four decimals."""
    got = ngram_nll(lecture, context, add)
    for split, value in want.items():
        assert got[split] == pytest.approx(value, abs=6e-5)  # half a unit of the last decimal


def plain_nll(data: Dataset, context: int, add: float) -> dict[str, float]:
    """The same model with dictionaries, one example at a time."""
    pairs: Counter[tuple[tuple[int, ...], int]] = Counter()
    totals: Counter[tuple[int, ...]] = Counter()
    out = {}
    for row, y in zip(data.train.x_NT.tolist(), data.train.y_N.tolist(), strict=True):
        key = tuple(row[len(row) - context :])
        pairs[key, y] += 1
        totals[key] += 1
    for name in ("train", "val", "test"):
        split, total = getattr(data, name), 0.0
        for row, y in zip(split.x_NT.tolist(), split.y_N.tolist(), strict=True):
            key = tuple(row[len(row) - context :])
            total -= math.log((pairs[key, y] + add) / (totals[key] + add * data.V))
        out[name] = total / split.n
    return out


@pytest.mark.parametrize("context", [0, 1, 2, 3])
@pytest.mark.parametrize("add", [0.1, 2.0])
def test_counts_match_a_plain_loop(context, add):
    """Packed counting equals dictionaries on a small source."""
    data = load_data(Data(name="markov", words=200))
    got, want = ngram_nll(data, context, add), plain_nll(data, context, add)
    assert got == pytest.approx(want, rel=1e-12)  # order of sums differs


def test_infinite_is_absent():
    """Raw counts meet an unseen pair on validation: the entry is missing, not infinite."""
    assert list(ngram_nll(load_data(Data()), 3, 0.0)) == ["train"]


def test_floors_are_ordered_and_finite():
    """More context lowers the training floor; every key is there and finite."""
    data = load_data(Data())
    lines = floors(data)
    assert lines["floor/context"] < lines["floor/bigram"] < lines["floor/unigram"] < math.log(27)
    assert lines["floor/context_val"] > lines["floor/context"]
    assert set(lines) == {f"floor/{n}{s}" for n in ("unigram", "bigram", "context")
                          for s in ("", "_val")}  # fmt: skip
    assert all(math.isfinite(value) for value in lines.values())
    p = data.unigram[data.unigram > 0]
    assert lines["floor/unigram"] == pytest.approx(float(-(p * np.log(p)).sum()), rel=1e-12)


def test_floors_of_a_known_source():
    """A markov source adds its entropy rate and its oracle on the same words."""
    data = load_data(Data(name="markov"))
    lines = floors(data)
    assert data.oracle is not None
    assert lines["floor/entropy_rate"] == data.oracle["entropy_rate"]
    assert lines["floor/oracle_val"] == data.oracle["nll_val"]
    # raw counts of three characters memorise 4,000 words far below what the source itself scores
    assert lines["floor/context"] < lines["floor/oracle_train"] - 10 / data.train.n
    # and pay for it on new words: nothing fixed beats the oracle there
    assert lines["floor/context_val"] > lines["floor/oracle_val"] - 10 / data.val.n


def test_no_symbols_no_counts():
    """Points have no floors by counting, and asking for one says so."""
    points = load_data(Data(name="points"))
    assert floors(points) == {}
    with pytest.raises(ConfigError, match="no symbols to count"):
        ngram_nll(points, 1)
    with pytest.raises(ConfigError, match="from 0 to"):
        ngram_nll(load_data(Data()), 4)
