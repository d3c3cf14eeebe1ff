"""Word sources: what is shipped, what is put right and said, and what is refused and how."""

import errno
import gzip
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import paths
from harness.components import textfiles
from harness.components.sources import Words, makemore
from harness.components.textfiles import FILE_LIMIT
from harness.components.wordlists import parse_words
from harness.components.wordnotes import odd_notes
from harness.config.groups import Data
from harness.data.dataset import load_data
from harness.errors import ConfigError, DataError


def read_words(data: Data) -> Words:
    return data.spec.load(data)


def file_data(path) -> Data:
    return Data(name="file", path=str(path))


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A fresh cache folder, and nothing kept in this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    makemore.downloaded.cache_clear()
    yield tmp_path / "cache" / "harness"
    makemore.downloaded.cache_clear()


# counts and first words of the census lists: wc -l and head -1 of the published files
@pytest.mark.parametrize(
    ("name", "n", "first", "sha256"),
    [
        ("census", 5163, "james",
         "d00d0decacbcd54ca15af59e0e2292963cee2e3c426cfb415e59ac93216753a6"),
        ("surnames", 88799, "smith",
         "839f9b29b3b95c167aa9906ef6a7456689059b840a65c8f91513a843b116aba9"),
    ],
)  # fmt: skip
def test_shipped_lists(name, n, first, sha256):
    """The shipped lists are whole, distinct, a to z, and keep their checksum."""
    found = read_words(Data(name=name))
    assert len(found.words) == len(set(found.words)) == n
    assert found.words[0] == first and found.sha256 == sha256 and found.notes == ()
    assert all(re.fullmatch("[a-z]+", word) for word in found.words)


@pytest.mark.parametrize(
    ("raw", "kept", "note"),
    [
        (b"\xef\xbb\xbfann\nbo\n", ("ann", "bo"), "byte order mark removed"),
        (b"ann\r\nbo\r\n", ("ann", "bo"), "line ends other than LF"),
        (b"ann\rbo\r", ("ann", "bo"), "line ends other than LF"),
        (b"ann\n\n \n\nbo\n", ("ann", "bo"), "3 blank lines skipped"),
        (b"ann\n\nbo", ("ann", "bo"), "1 blank line skipped"),
        (b" ann\nbo\t\n", ("ann", "bo"), "spaces around 2 words removed"),
        ("zoe\u0308\nann".encode(), ("zoë", "ann"), "Unicode NFC"),
    ],
)
def test_normalised_and_said(raw, kept, note):
    """What is put right gives the words of a clean file, its checksum, and one remark."""
    found = parse_words(raw, "here")
    assert found.words == kept and found.sha256 == Words(words=kept).sha256
    assert len(found.notes) == 1 and note in found.notes[0]


def test_clean_file_says_nothing():
    """No remark without a reason; inner spaces and any alphabet are kept."""
    found = parse_words("mary ann\nåsa\nЖанна\n美咲\n".encode(), "here")
    assert found.words == ("mary ann", "åsa", "Жанна", "美咲") and found.notes == ()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", ["holds no words", "one word a line"]),
        (b"\n \r\n\n", ["holds no words"]),
        (b"\xef\xbb\xbf", ["holds no words"]),
        (b"ann\nzo\xeb\nbo\n", ["line 2", "0xeb", "UTF-8", "iconv"]),
        (b"ann\r\rzo\xeb", ["line 3", "0xeb"]),
        (b"ann\nbo\xc3", ["line 2", "0xc3"]),
        (b"\xed\xa0\x80\n", ["line 1", "0xed"]),  # a surrogate, as UTF-8 forbids
        ("ann\nbo\n".encode("utf-16"), ["line 1", "UTF-16", "iconv"]),
        (b"ann\nj.r\n", ["line 2", "'j.r'", "'.'"]),
        (b".\n", ["line 1", "'.'"]),
        (b"ann\nb\x00o\n", ["line 2", "U+0000"]),
        (b"ann\n\nb\x07o\n", ["line 3", "U+0007"]),
        ("ann\u2028bo\n".encode(), ["line 1", "U+2028"]),
        ("ann\n\ufeffbo\n".encode(), ["line 2", "U+FEFF"]),
        (b"ann\t12\nbo\t7\n", ["line 1", "tab", "one word a line"]),
        (b"ann\n" + b"a" * 2**20, ["line 2", "1,048,576 characters", "at most 1,000"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["line 1", "0x89"]),
    ],
)
def test_malformed_files(tmp_path, raw, said):
    """Each kind of bad file is refused with the path, the line and what to do."""
    path = tmp_path / "words.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_words(file_data(path))
    message = str(caught.value)
    assert "words.txt" in message and len(message) < 500
    assert all(part in message for part in said), message


def test_bad_paths(tmp_path):
    """Missing, folder, pipe, too long, looping and unknown home: each names data.path."""
    (tmp_path / "names.txt").write_text("ann\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for path, said in [
        (tmp_path / "name.txt", "no such file"),
        (tmp_path / "name.txt", "Did you mean 'names.txt'?"),
        (tmp_path / "names.txt" / "deeper", "no such file"),
        (tmp_path / "none" / "names.txt", "no such file"),
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "not a plain file"),
        (tmp_path / "loop", "cannot be read"),
        ("n" * 300, os.strerror(errno.ENAMETOOLONG)),
        ("n/" * 5000, os.strerror(errno.ENAMETOOLONG)),
        ("~no-such-user-here/names.txt", "cannot be read"),
    ]:
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            read_words(file_data(path))
        assert str(caught.value).startswith("data.path is ") and len(str(caught.value)) < 500
    with pytest.raises(ConfigError, match="NUL"):
        file_data("names\x00.txt")


def test_file_too_large(tmp_path, monkeypatch):
    """A file over the limit is refused by its size, before it is read."""
    path = tmp_path / "huge.txt"
    with path.open("wb") as out:
        out.truncate(FILE_LIMIT + 1)  # sparse: takes no room
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    with pytest.raises(DataError, match="at most 256 MiB"):
        read_words(file_data(path))


def test_checksum_is_of_the_content(tmp_path):
    """Moving a file, its line ends or a BOM leave the checksum; one letter changes it."""
    sums = []
    for name, raw in [
        ("a", b"ann\nbo"),
        ("b", b"\xef\xbb\xbfann\r\n\r\nbo\r\n"),
        ("c", b"ann\nbob"),
    ]:
        (tmp_path / name).write_bytes(raw)
        sums.append(read_words(file_data(tmp_path / name)).sha256)
    assert sums[0] == sums[1] != sums[2]
    # printf 'ann\nbo' | sha256sum
    assert sums[0] == "dfc43e7b7edf768497fd5c2e7e4c973a42d54c3e2af443b1094404c8be74a7aa"


def test_read_once_until_it_changes(tmp_path, monkeypatch):
    """A file is parsed once in a process, and again when it has changed."""
    path = tmp_path / "words.txt"
    path.write_text("ann\nbo\n")
    first = read_words(file_data(path))
    assert read_words(file_data(path)) is first
    path.write_text("ann\nbob\n")
    assert read_words(file_data(path)).words == ("ann", "bob")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_parse_or_explain(raw):
    """No bytes raise anything but a DataError, and what parses holds clean words only."""
    try:
        found = parse_words(raw, "here")
    except DataError:
        return
    assert found.words and all(w and w == w.strip() and "." not in w for w in found.words)


any_letter = st.characters(
    codec="utf-8", exclude_characters=".\ufeff", exclude_categories=("C", "Z")
)
word = st.text(any_letter, min_size=1, max_size=12)


@given(st.lists(word, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_reading_what_was_read_changes_nothing(listed):
    """Normalising twice is normalising once, whatever the alphabet: what is still said then is
    said of words that are kept as they are."""
    once = parse_words("\n".join(listed).encode(), "here")
    twice = parse_words("\n".join(once.words).encode(), "here")
    assert twice.words == once.words and twice.sha256 == once.sha256
    assert twice.notes == tuple(odd_notes(once.words))


def test_makemore_offline_says_what_to_do(empty_cache, monkeypatch):
    """A refused connection: the address, data.path= and the shipped list are named."""
    with socket.socket() as free:  # a port that nobody listens on
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(makemore, "URL", f"http://127.0.0.1:{port}/names.txt")
    with pytest.raises(DataError) as caught:
        read_words(Data(name="makemore"))
    message = str(caught.value)
    assert "offline" in message and "data.path=" in message and "data=census" in message
    assert not empty_cache.exists()


def test_makemore_download_is_checked_and_kept(empty_cache, tmp_path, monkeypatch):
    """Another file under that address is refused; the right one is kept and not fetched again."""
    served = tmp_path / "served.txt"
    served.write_text("emma\nolivia")
    monkeypatch.setattr(makemore, "URL", served.as_uri())
    with pytest.raises(DataError, match="answered with another file"):
        read_words(Data(name="makemore"))
    # names.txt itself may not be shipped with the tests: a stand-in, pinned by its own checksum
    monkeypatch.setattr(makemore, "SHA256", Words(words=("emma", "olivia")).sha256)
    assert read_words(Data(name="makemore")).words == ("emma", "olivia")
    assert [entry.name for entry in empty_cache.iterdir()] == ["makemore-names.txt"]
    served.unlink()
    makemore.downloaded.cache_clear()
    assert read_words(Data(name="makemore")).words == ("emma", "olivia")
    (empty_cache / "makemore-names.txt").write_text("emma")  # cut short: never used
    makemore.downloaded.cache_clear()
    with pytest.raises(DataError, match="could not be fetched"):
        read_words(Data(name="makemore"))


def test_makemore_without_a_cache_folder(empty_cache, tmp_path, monkeypatch):
    """Where nothing can be kept, the download is used all the same, and that is said."""
    served = tmp_path / "served.txt"
    served.write_text("emma\nolivia")
    empty_cache.parent.write_text("a file where the folder should be")
    monkeypatch.setattr(makemore, "URL", served.as_uri())
    monkeypatch.setattr(makemore, "SHA256", Words(words=("emma", "olivia")).sha256)
    found = read_words(Data(name="makemore"))
    assert found.words == ("emma", "olivia") and "could not be kept" in found.notes[0]


def test_makemore_from_a_path(tmp_path):
    """data.path stands in for the download; a file that is not names.txt is said to be another."""
    path = tmp_path / "names.txt"
    path.write_text("emma\nolivia")
    found = read_words(Data(name="makemore", path=str(path)))
    assert found.words == ("emma", "olivia") and "not the pinned names.txt" in found.notes[0]


def test_makemore_is_the_pinned_file():
    """The lecture's names: 32,033 words, checksum of the file as published."""
    path = os.environ.get("HARNESS_TEST_NAMES", "")
    if not Path(path).is_file():
        pytest.skip("HARNESS_TEST_NAMES names no file")
    found = read_words(Data(name="makemore", path=path))
    assert len(found.words) == 32033 and found.sha256 == makemore.SHA256 and found.notes == ()


@pytest.mark.parametrize(
    ("platform", "environment", "want"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/harness"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/h/.cache/harness"),
        ("linux", {}, "/h/.cache/harness"),
        ("darwin", {}, "/h/Library/Caches/harness"),
    ],
)
def test_cache_folder(monkeypatch, platform, environment, want):
    """Where downloads go, by platform and XDG."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setattr("sys.platform", platform)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert str(paths.cache_folder()) == want


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["anna", "an\u200bna", "an\u00adna", "an\u00adn", "bo"],
         ["soft hyphen (U+00AD) in 2 words, zero width space (U+200B) in 1 word", "look alike"]),
        (["de la", "de\u00a0la", "bo"], ["no-break space (U+00A0) in 1 word"]),
        (["anna,F,120", "bo,M,3", "cy,M,4"],
         ["3 of 3 lines have 2 ','", "table of 3 columns", "data.column=1"]),
        (["a|b", "c|d"], ["2 of 2 lines have 1 '|'", "table of 2 columns"]),
    ],
)  # fmt: skip
def test_what_is_odd_is_counted_and_left_as_it_is(lines, said):
    found = parse_words("\n".join(lines).encode(), "w")
    assert found.words == tuple(lines)
    (note,) = found.notes
    assert all(part in note for part in said), note


@pytest.mark.parametrize(
    "lines",
    [["o'neil", "von, der", "bo"], ["\u0646\u0645\u06cc\u200c\u062e", "\u0628"],
     ["\U0001f468\u200d\U0001f469", "x"], ["anna,F"]],
)  # fmt: skip
def test_what_is_not_odd_is_not_remarked_on(lines):
    assert parse_words("\n".join(lines).encode(), "w").notes == ()


def test_a_gzip_file_is_read_as_what_is_in_it(tmp_path, monkeypatch):
    plain, packed = tmp_path / "w.txt", tmp_path / "w.txt.gz"
    plain.write_bytes(b"anna\r\nbo\r\ncy\r\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    want, got = read_words(file_data(plain)), read_words(file_data(packed))
    assert (got.words, got.sha256) == (want.words, want.sha256)
    assert got.notes == ("unpacked by gzip", *want.notes)
    monkeypatch.setattr(textfiles, "FILE_LIMIT", 100)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b"a" * 10_000))
    with pytest.raises(DataError, match=r"bomb\.gz.* unpacks to more than"):
        read_words(file_data(bomb))


def test_words_with_dots_take_another_end_mark(tmp_path):
    """St. Gallen: refused with the remedy, read with it, and the vocabulary begins with it."""
    path = tmp_path / "towns.txt"
    path.write_text("St. Gallen\nBern\nSt. Moritz\n" * 12)
    with pytest.raises(
        DataError, match=r"line 1: the word 'St\. Gallen' has a '\.'.*data\.end='\|'"
    ):
        read_words(Data(name="file", path=str(path)))
    data = load_data(Data(name="file", path=str(path), end="|", unique_words=False))
    assert data.symbols[:3] == ("|", " ", ".")
    assert data.decode(data.train.y_N).count("|") == len(data.train.words)
    assert set(data.decode(data.train.y_N).split("|")) <= {"St. Gallen", "Bern", "St. Moritz", ""}
    assert any("words end in '|' in place of '.' (data.end)" in note for note in data.notes)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": "file", "path": "w", "end": "||"}, "one character"),
        ({"name": "file", "path": "w", "end": " "}, "one character"),
        ({"name": "census", "end": "|"}, "data=census does not read"),
        ({"name": "census", "column": "name"}, "data=census does not read"),
    ],
)
def test_end_marks_and_columns_that_cannot_be(data, said):
    with pytest.raises(ConfigError, match=said):
        Data(**data)


TABLE = 'name;"how many"\n' + "".join(f"{w};{n}\n" for n, w in enumerate(["anna", '"O;Hara"'] * 9))


@pytest.mark.parametrize("column", ["name", "1"])
def test_a_column_of_a_table(tmp_path, column):
    """By its name in the first line or its number, quotes and separators as a spreadsheet's."""
    path = tmp_path / "names.csv"
    path.write_text(TABLE)
    found = read_words(Data(name="file", path=str(path), column=column))
    rest = ("anna", "O;Hara") * 9
    assert found.words == (rest if column == "name" else ("name", *rest))


def test_a_column_that_is_not_there(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(TABLE)
    with pytest.raises(DataError, match=r"data\.column is 'nam'.*1 to 2.*'name', 'how many'.*mean"):
        read_words(Data(name="file", path=str(path), column="nam"))
