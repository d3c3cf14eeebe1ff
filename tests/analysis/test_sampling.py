"""Words are drawn as the softmax says, the same ones for the same seed, and told apart."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter

import pytest
import torch

from harness.analysis import sampling
from harness.analysis.sampling import Sample, draw, sample
from harness.components.losses import LINKS
from harness.config.groups import Data, Loss, Model, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.train import train
from harness.errors import ConfigError, HarnessError


class Fixed(torch.nn.Module):
    """Logits that look at the last symbol alone: rows of a table (V, V)."""

    def __init__(self, table, symbols=".ab", block_size=2):
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(table))
        self.symbols, self.block_size = tuple(symbols), block_size

    def forward(self, x):
        return self.table[x[:, -1]]


def table(p):
    return [[math.log(v) if v else -1e9 for v in row] for row in p]


P = [[0.0, 0.7, 0.3], [0.5, 0.1, 0.4], [1.0, 0.0, 0.0]]  # rows: after '.', a, b


def test_words_follow_the_probabilities():
    """Counts of short words within four standard deviations of n times their probability."""
    n = 8_000
    got = Counter(word for word, _ in draw(Fixed(table(P)), n, seed=5))
    want = {"b": 0.3, "a": 0.7 * 0.5, "ab": 0.7 * 0.4, "aa": 0.7 * 0.1 * 0.5}  # by hand
    for word, p in want.items():
        assert abs(got[word] - n * p) < 4 * math.sqrt(n * p * (1 - p)), word
    assert "" not in got and "ba" not in got


def test_temperature_squares_the_odds():
    """At temperature 1/2 the first symbol's odds a : b are (7/3)^2."""
    n, odds = 8_000, (0.7 / 0.3) ** 2
    p = odds / (1 + odds)
    got = Counter(word[0] for word, _ in draw(Fixed(table(P)), n, temperature=0.5))
    assert abs(got["a"] - n * p) < 4 * math.sqrt(n * p * (1 - p))


def test_temperature_zero_is_greedy_and_small_ones_reach_it():
    net = Fixed(table(P))
    assert {word for word, _ in draw(net, 5, temperature=0)} == {"a"}
    assert {word for word, _ in draw(net, 50, temperature=1e-300)} == {"a"}


def test_same_seed_same_words_however_many():
    net = Fixed(table(P))
    many = draw(net, 2500, seed=3)
    assert draw(net, 7, seed=3) == many[:7]
    assert draw(net, 2500, seed=3) == many
    assert draw(net, 2500, seed=4) != many


def test_words_without_end_are_cut():
    """A net that never ends a word is stopped at the longest length, one that just makes it not."""
    endless = Fixed(table([[0, 1.0, 0], [0, 1.0, 0], [1.0, 0, 0]]))
    assert draw(endless, 2, longest=6) == [("aaaaaa", True)] * 2
    line = Fixed([[-9e9, 0.0, -9e9, -9e9], [-9e9, -9e9, 0.0, -9e9], [-9e9, -9e9, -9e9, 0.0],
                  [0.0, -9e9, -9e9, -9e9]], symbols=".abc")  # fmt: skip
    assert draw(line, 1, longest=3) == [("abc", False)]
    assert draw(line, 1, longest=2) == [("ab", True)]


def test_a_link_reads_the_outputs():
    """Raw estimates .7 and .3 under the link "clip" are drawn as 7 to 3; '.' at eps .005."""
    n, p = 8_000, 0.7 / 1.005
    got = Counter(word[:1] for word, _ in draw(Fixed(P), n, link="clip"))
    assert abs(got["a"] - n * p) < 4 * math.sqrt(n * p * (1 - p))


def test_not_finite_is_refused():
    with pytest.raises(HarnessError, match="diverged"):
        draw(Fixed([[math.nan] * 3] * 3), 1)


def test_the_module_is_left_as_it_was():
    net = Fixed(table(P)).float()
    draw(net, 2)
    assert net.table.dtype == torch.float32


@pytest.fixture(scope="module")
def record():
    run = RunConfig(
        data=Data(fraction=0.05), model=Model(n_embd=6, hidden=(32,)),
        train=Train(steps=400, eval_every=400),
    )  # fmt: skip
    return train([run])[0]


def test_places_are_where_the_words_stand(record):
    data = load_data(record.config.data)
    whole = {*load_data(Data(fraction=1.0)).train.words}
    homes = {"train": {*data.train.words}, "val": {*data.val.words}, "test": {*data.test.words}}
    homes["unused"] = whole - homes["train"]
    words, sizes = sample(record, 3000, temperature=0.7)
    assert sizes == {name: len(home) for name, home in homes.items()}
    assert {one.place for one in words} >= {"unused", "new"}
    for one in words:
        found = [name for name, home in homes.items() if one.word in home]
        assert one.place == (found[0] if found else "new")


def test_memorised_words_are_marked(record, monkeypatch):
    data = load_data(record.config.data)
    words = [data.train.words[0], data.val.words[0], "qqq"]
    monkeypatch.setattr(sampling, "draw", lambda *a, **k: [(word, False) for word in words])
    got, _ = sample(record, 3)
    assert [one.place for one in got] == ["train", "val", "new"]


def test_changed_data_leave_places_open(record):
    other = dataclasses.replace(record, provenance={"data_sha256": "0" * 64})
    words, sizes = sample(other, 3)
    assert sizes is None
    assert {one.place for one in words} == {None}
    assert "not at hand" in sampling.lines(other, words, sizes, 1.0, 0)[-1]
    assert sampling.as_plain(other, words, sizes, 1.0, 0)["counts"] is None


def test_calibrated_words_come_from_the_fitted_reading():
    """Raw mean squared error drawn by softmax is noise; calibrated it is nearer to names."""
    run = RunConfig(
        data=Data(fraction=0.05), model=Model(n_embd=6, hidden=(32,)), loss=Loss(name="mse"),
        train=Train(steps=400, eval_every=400),
    )  # fmt: skip
    (record,) = train([run])
    link, fitted = record.summary["calibration/link"], record.summary["calibration/temperature"]
    words, sizes = sample(record, 500, calibrated=True)
    drawn = draw(record.module(), 500, temperature=fitted, link=LINKS[int(link)])
    assert [one.word for one in words] == [word for word, _ in drawn]
    known = sum(one.place != "new" for one in words)
    assert known > 2 * sum(one.place != "new" for one in sample(record, 500)[0])
    assert "--calibrated" in sampling.lines(record, words, sizes, 1.0, 0)[-1]
    told = sampling.lines(record, words, sizes, 1.0, 0, calibrated=True)
    assert "T=" in told[0] and "--calibrated" not in told[-1]


def test_without_a_calibration_it_is_said(record):
    bare = {k: v for k, v in record.summary.items() if not k.startswith("calibration/")}
    with pytest.raises(ConfigError, match="leave --calibrated out"):
        sample(dataclasses.replace(record, summary=bare), 1, calibrated=True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n": 0}, "-n is 0"),
        ({"temperature": -1}, "--temperature is -1"),
        ({"temperature": math.nan}, "--temperature is nan"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_wrong_numbers_are_named(record, wrong, told):
    with pytest.raises(ConfigError, match=told):
        sample(record, **{"n": 1, **wrong})


def test_points_have_no_words():
    run = RunConfig(
        data=Data(name="moons"), loss=Loss(name="max_margin"), model=Model(hidden=(4,)),
        train=Train(steps=1),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="points"):
        sample(train([run])[0])


def test_eighty_columns_hold_every_line(record, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words, sizes = sample(record, 60)
    words.append(Sample(word="x" * 200, place="new", cut=True))
    words.append(Sample(word="", place="train"))
    lines = sampling.lines(record, words, sizes, 1.0, 0)
    assert [line for line in lines if len(line) > 80 and "xxx" not in line] == []
    text = "\n".join(lines)
    assert "(empty) *" in text and "xxx..." in text
    shown = text.split()
    assert all(one.word in shown for one in words[:60] if one.word)


def test_json_says_all(record):
    words, sizes = sample(record, 4)
    plain = json.loads(json.dumps(sampling.as_plain(record, words, sizes, 1.0, 0)))
    assert plain["run"] == record.run_id
    assert [one["word"] for one in plain["words"]] == [one.word for one in words]
    assert sum(plain["counts"].values()) == 4
