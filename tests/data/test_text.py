"""Running text as data: splits, contexts, counts and samples, on Lincoln's address of 1863."""

import collections
import math
from pathlib import Path

import numpy as np
import pytest

from harness import RunConfig, train
from harness.analysis import sampling
from harness.components.sources.text import PADS
from harness.config.groups import Data, Model, Optim, Train
from harness.data.baselines import floors
from harness.data.dataset import load_data
from harness.errors import ConfigError, DataError

SPEECH = Path(__file__).parents[1] / "support" / "gettysburg.txt"  # public domain, Nicolay copy
TEXT = SPEECH.read_text(encoding="utf-8")
T = 4


@pytest.fixture(scope="module")
def data():
    return load_data(Data(name="text", path=str(SPEECH), block_size=T))


def test_every_character_is_a_target_in_its_order(data):
    n = len(TEXT)
    assert data.symbols == (PADS[0], *sorted(set(TEXT)))
    assert {".", "\n", " "} <= set(data.symbols[1:])
    parts = [data.decode(split.y_N) for split in (data.train, data.val, data.test)]
    assert parts == [TEXT[: int(0.8 * n)], TEXT[int(0.8 * n) : int(0.9 * n)], TEXT[int(0.9 * n) :]]


def test_contexts_run_across_lines_and_parts(data):
    padded = PADS[0] * T + TEXT
    begin = 0
    for split in (data.train, data.val, data.test):
        for i in range(split.n):
            assert data.decode(split.x_NT[i]) == padded[begin + i : begin + i + T]
        begin += split.n
    assert begin == len(TEXT)


def test_counts_and_floors_are_exact(data):
    """By plain dictionaries: the NLL of counts of two characters on the training text itself."""
    part = TEXT[: data.train.n]
    pairs = collections.Counter(zip(PADS[0] + part[:-1], part, strict=True))
    singles = collections.Counter(PADS[0] + part[:-1])
    want = -sum(n * math.log(n / singles[a]) for (a, _), n in pairs.items()) / len(part)
    assert floors(data)["floor/bigram"] == pytest.approx(want, abs=1e-12)
    assert data.train.pair_count_P.sum() == data.train.n
    share = np.array([part.count(symbol) for symbol in data.symbols]) / len(part)
    assert np.allclose(data.unigram, share, atol=1e-15)


def test_a_share_is_the_first_part_of_training(data):
    part = load_data(Data(name="text", path=str(SPEECH), block_size=T, fraction=0.25))
    kept = math.ceil(0.25 * data.train.n)
    assert part.decode(part.train.y_N) == TEXT[:kept] and part.val.n == data.val.n
    assert f"training keeps {kept:,} of {data.train.n:,} characters" in part.notes[0]


def test_line_ends_and_bytes_are_put_right_and_said(tmp_path, data):
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    other = load_data(Data(name="text", path=str(path), block_size=T))
    assert other.sha256 == data.sha256
    assert any("byte order mark" in note for note in other.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\0b" * 20, "U+0000"),
        (b"\xff\xfea\0", "UTF-16"),
        ("".join(PADS).encode() * 9, "must be free"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "single symbol 'a'"),
        (b"abca", "split is empty"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "odd.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said.replace("+", r"\+")) as caught:
        load_data(Data(name="text", path=str(path)))
    assert "odd.txt" in str(caught.value)


def test_a_text_without_a_path_or_a_missing_one():
    with pytest.raises(ConfigError, match=r"data=text needs a UTF-8 text.*data\.path=book\.txt"):
        Data(name="text")
    with pytest.raises(DataError, match="no such file; give the path of a UTF-8 text"):
        load_data(Data(name="text", path=str(SPEECH.with_name("gettysberg.txt"))))


@pytest.fixture(scope="module")
def record():
    run = RunConfig(
        data=Data(name="text", path=str(SPEECH), block_size=T), model=Model(hidden=(64,)),
        optim=Optim(lr=0.2, schedule="constant"), train=Train(steps=1500),
    )  # fmt: skip
    (record,) = train([run])
    return record


def test_a_run_begins_at_chance_and_learns(record, data):
    assert abs(record.summary["init/loss_z"]) < 4
    assert record.summary["init/loss_uniform"] == pytest.approx(math.log(data.V))
    assert record.summary["nll/train"] < floors(data)["floor/unigram"] - 0.5


def test_a_sample_is_running_text_and_never_holds_the_padding(record):
    ((one,), places) = sampling.sample(record, 400, seed=3)
    assert places is None and len(one.word) == 400 and set(one.word) <= set(TEXT)
    ((longer,), _) = sampling.sample(record, 500, seed=3)
    assert longer.word.startswith(one.word)
    shown = sampling.lines(record, [one], None, 1.0, 3)
    assert shown[0].startswith("400 characters") and shown[-1] == one.word
    plain = sampling.as_plain(record, [one], None, 1.0, 3)
    assert plain["text"] == one.word and "words" not in plain
    ((usual,), _) = sampling.sample(record)
    assert len(usual.word) == sampling.CHARACTERS


def test_the_padding_alone_is_refused_inside_a_context(record):
    net = record.module()
    assert net.encode("ol.").tolist()[0][0] == 0
    with pytest.raises(DataError, match="in front as padding"):
        net.encode(f"a{PADS[0]}b")
