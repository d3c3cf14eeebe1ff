"""Splits, counts and remarks of a data set, and what is refused."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.components.sources import SOURCES
from harness.config.groups import Data
from harness.config.run import build
from harness.data import dataset
from harness.data.dataset import cuts, load_data, source_checksum
from harness.errors import ConfigError, DataError, shown

ALPHABETS = {
    "latin": ["ann", "bo", "cid", "dee", "eve", "fay", "gus", "hal", "ida", "jo", "kim", "lee"],
    "cyrillic": [
        "анна",
        "борис",
        "вера",
        "глеб",
        "дарья",
        "ева",
        "жанна",
        "зоя",
        "иван",
        "клим",
        "лев",
        "мила",
    ],
    "mixed": [
        "美咲",
        "大翔",
        "josé",
        "o'neil",
        "mary-ann",
        "😀😀",
        "नमिता",
        "שרה",
        "فاطمة",
        "zoë",
        "ж",
        "ß",
    ],
}


def write(folder, words, name="words.txt", **more) -> Data:
    path = folder / name
    path.write_text("\n".join(words), encoding="utf-8")
    return Data(name="file", path=str(path), **more)


@pytest.fixture(scope="module")
def lecture() -> dataset.Dataset:
    path = os.environ.get("HARNESS_TEST_NAMES", "")
    if not Path(path).is_file():
        pytest.skip("HARNESS_TEST_NAMES names no file")
    return load_data(Data(name="makemore", path=path, unique_words=False))


def test_lecture_split_to_the_example(lecture):
    """The lecture's printed sizes, and the distinct counts of its training split.

    182,625 / 22,655 / 22,866: karpathy/makemore, part 2 notebook. Distinct counts, the first
    words and 424 repeated validation words: random.seed(42) and plain loops over the file.
    """
    assert (lecture.train.n, lecture.val.n, lecture.test.n) == (182625, 22655, 22866)
    assert len(lecture.train.contexts_CT) == 5438 and len(lecture.train.pair_count_P) == 22701
    assert lecture.train.words[:3] == ("yuheng", "diondre", "xavien")
    assert "".join(lecture.symbols) == ".abcdefghijklmnopqrstuvwxyz"
    assert lecture.overlap_words == 424
    assert any("424 of 3,203 validation words (13.2%)" in note for note in lecture.notes)
    assert any("2,539 repeated words kept" in note for note in lecture.notes)


def test_census_as_shipped():
    """Default data: 80/10/10 of 5,163 words, no overlap, nothing to remark."""
    data = load_data(Data())
    sizes = [len(split.words) for split in (data.train, data.val, data.test)]
    assert sizes == [4130, 516, 517]  # int(.8 n), int(.9 n) - int(.8 n), the rest
    assert data.V == 27 and data.kind == "classes" and data.overlap_words == 0
    assert data.notes == () and data.oracle is None
    assert set(data.train.words).isdisjoint(data.val.words)


@pytest.mark.parametrize("name", ["census", "markov"])
def test_a_split_counts_itself(name):
    """Lengths, sums and orders that hold for every split."""
    data = load_data(Data(name=name, words=500))
    for split in (data.train, data.val, data.test):
        assert split.n == sum(len(word) + 1 for word in split.words) == split.pair_count_P.sum()
        assert split.x is split.x_NT and split.y is split.y_N
        assert split.x_NT.dtype == split.y_N.dtype == split.pair_count_P.dtype == np.int64
        assert np.array_equal(split.contexts_CT[split.context_N], split.x_NT)
        key_P = split.pair_context_P * data.V + split.pair_target_P
        assert (np.diff(key_P) > 0).all()
    assert np.allclose(data.unigram * data.train.n, np.bincount(data.train.y_N, minlength=27))


def test_fraction_takes_the_first_training_words():
    """A fraction keeps ceil(fraction n) of the shuffled training words; the rest is untouched."""
    whole, part = load_data(Data()), load_data(Data(fraction=0.1))
    assert len(part.train.words) == math.ceil(0.1 * 4130) == 413
    assert part.train.words == whole.train.words[:413]
    assert part.val.words == whole.val.words and part.test.words == whole.test.words
    assert part.symbols == whole.symbols and part.sha256 == whole.sha256
    assert part.notes == ("training keeps 413 of 4,130 words (data.fraction=0.1)",)
    assert len(load_data(Data(fraction=0.25)).train.words) == 1033  # 1032.5, rounded up
    # .07 of 100 words is 7, though .07 * 100 is 7.000000000000001
    assert len(load_data(Data(name="markov", words=125, fraction=0.07)).train.words) == 7
    assert len(load_data(Data(fraction=1e-12)).train.words) == 1


def test_repeats_dropped_or_kept(tmp_path):
    """Repeats leave before the split, first ones kept; or stay, and the overlap is counted."""
    listed = ALPHABETS["latin"] * 3
    dropped = load_data(write(tmp_path, listed))
    kept = load_data(write(tmp_path, listed, unique_words=False))
    everything = [w for s in (dropped.train, dropped.val, dropped.test) for w in s.words]
    assert sorted(everything) == sorted(ALPHABETS["latin"]) and dropped.overlap_words == 0
    assert "24 repeated words removed before the split" in dropped.notes
    assert "24 repeated words kept" in kept.notes
    assert kept.overlap_words == sum(word in kept.train.words for word in kept.val.words) > 0
    assert dropped.sha256 == kept.sha256  # of the source, before any of this


@pytest.mark.parametrize("words", ALPHABETS.values(), ids=ALPHABETS)
def test_any_alphabet(tmp_path, words):
    """Every word comes back from its codes, whatever the script."""
    data = load_data(write(tmp_path, words, block_size=5))
    for split in (data.train, data.val, data.test):
        assert data.decode(split.y_N) == "".join(word + "." for word in split.words)
    assert list(data.symbols[1:]) == sorted(set("".join(words)))


def test_encode_contexts():
    """Texts become their last block_size codes, padded in front; strangers are named."""
    data = load_data(Data())
    a, m = data.symbols.index("a"), data.symbols.index("m")
    assert data.encode("").tolist() == [[0, 0, 0]]
    assert data.encode("a").tolist() == data.encode("..a").tolist() == [[0, 0, a]]
    assert data.encode(["emma", ".ma"]).tolist() == [[m, m, a], [0, m, a]]
    for text, said in [("añ", "'ñ'"), ("a.m", "'.'"), ("A", "'A'")]:
        with pytest.raises(DataError, match=said):
            data.encode(text)


@given(st.text("abcdefghijklmnopqrstuvwxyz", max_size=9))
@settings(max_examples=50, deadline=None)
def test_encode_decode_round_trip(text):
    """Decoding an encoded context gives the text's end back, padded."""
    data = load_data(Data())
    assert data.decode(data.encode(text)[0]) == ("..." + text)[-3:]


@given(st.integers(1, 10**6), st.sampled_from([(0.8, 0.1, 0.1), (0.7, 0.1, 0.2), (0.6, 0.3, 0.1)]))
def test_cuts_as_typed(n, split):
    """Cuts are the whole part of the decimal that was typed, not of its float sum."""
    tenths = [round(share * 10) for share in split]
    first, second = cuts(n, split)
    assert first == int(split[0] * n)
    assert second == (tenths[0] + tenths[1]) * n // 10


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["ann"], {}, ["training and validation split is empty", "1 distinct word ", "data.split"]),
        (["ann"] * 50, {}, ["split is empty", "1 distinct word "]),
        (ALPHABETS["latin"], {"split": (0.98, 0.01, 0.01)}, ["validation split is empty", "0.98"]),
        (["a", "aa", "aaa"], {}, ["single symbol 'a'", "nothing to learn"]),
    ],
)
def test_too_little_data(tmp_path, words, more, said):
    """One word, one symbol, an empty split: refused, with what to change."""
    data = write(tmp_path, words, **more)
    with pytest.raises(DataError) as caught:
        load_data(data)
    said = [*said, f"data=file ({shown(data.path)})"]
    assert all(part in str(caught.value) for part in said), str(caught.value)


def test_too_large_for_memory(monkeypatch):
    """The need is estimated before anything is allocated."""
    monkeypatch.setattr(dataset, "MEMORY_SHARE", 1e-9)
    monkeypatch.setattr(dataset, "windows", lambda *a: pytest.fail("allocated"))
    with pytest.raises(DataError, match="smaller block_size"):
        load_data(Data(split_seed=987654))


def test_same_settings_same_object(tmp_path):
    """Loading is cached by settings and content; a changed file is loaded anew."""
    data = write(tmp_path, ALPHABETS["latin"])
    first = load_data(data)
    assert load_data(dataclasses.replace(data, unique_words=True)) is first  # null resolved
    assert load_data(dataclasses.replace(data, split_seed=1)) is not first
    write(tmp_path, [*ALPHABETS["latin"], "zed"])
    assert "zed" in {w for s in (load_data(data).train, load_data(data).val, load_data(data).test)
                     for w in s.words}  # fmt: skip


def test_checksum_without_splits(tmp_path, monkeypatch):
    """source_checksum agrees with the data set, builds no split and follows content alone."""
    moved = [write(tmp_path, ALPHABETS["latin"], name) for name in ("one.txt", "two.txt")]
    sums = {source_checksum(data) for data in moved}
    assert sums == {load_data(moved[0]).sha256}
    monkeypatch.setattr(dataset, "_load", lambda *a: pytest.fail("split"))
    kinds = ["census", "markov", "points", "moons"]
    assert len({source_checksum(Data(name=name)) for name in kinds}) == 4
    assert source_checksum(Data(name="markov")) != source_checksum(Data(name="markov", words=99))


CONF = Path(__file__).resolve().parents[2] / "conf" / "data"


@pytest.mark.parametrize("name", [one for one in SOURCES if not SOURCES.get(one).path])
def test_yaml_holds_the_defaults(name):
    """Each YAML of a source says every setting, with the default that Python uses."""
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert list(values) == [entry.name for entry in dataclasses.fields(Data)]
    own = {"split": (1.0, 0.0, 0.0)} if name == "four_points" else {}
    assert build(Data, "data.", values) == Data(name=name, **own)


@pytest.mark.parametrize("name", [one for one in SOURCES if SOURCES.get(one).path])
def test_yaml_of_a_file_needs_only_a_path(name):
    """data=file is refused until data.path is given."""
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    with pytest.raises(ConfigError, match=f"data={name} needs"):
        build(Data, "data.", values)
    assert build(Data, "data.", values | {"path": "w"}) == Data(name=name, path="w")
