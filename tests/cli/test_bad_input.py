"""What is refused: exit code 2, one message that names key, value and remedy, nothing made.

The many cases are taken as a composed config (as Hydra or a file hands it over); those that the
command line itself must catch go through `harness.cli.main.run`.
"""

import gzip
import json
import os
import subprocess
import sys

import pytest

from harness import system
from harness.cli import main as cli
from harness.cli.gridsize import LIMIT
from harness.cli.jobs import check_jobs
from harness.cli.spelling import known_keys
from harness.config.groups import Data, Engine, Model, Reg, Train
from harness.config.keys import field_rules, nest
from harness.config.run import RunConfig
from harness.config.settings import Halving, Ledger, Ray, Slurm, Tracking
from harness.data.dataset import load_data
from harness.engine import cost as footprint
from harness.errors import ConfigError, HarnessError
from tests.support import hostile

INF, NAN = float("inf"), float("nan")
WRONG_TYPES = {
    "int": [None, "x", "1", True, 1.5, NAN, INF, [1], {"a": 1}, 10**400],
    "float": [None, "x", "1", True, NAN, INF, -INF, [1.0], {"a": 1}, 10**400],
    "bool": ["true", "yes", 1, 0, 2.0, [True]],
    "str": [1, 2.0, True, ["a"], {"a": 1}, "no such", "", "\x00"],
    "mapping": ["x", 1, 1.5, True, ["x"]],
    "list": ["x", 1, 1.5, {"a": 1}, ["x"], [None], [NAN], [True], [[1]]],
}


def kind_of(key):
    """The row of WRONG_TYPES for a setting, and whether null is a value of it."""
    group, _, name = key.rpartition(".")
    owner = {
        "tracking": Tracking, "ledger": Ledger, "halving": Halving, "engine.ray": Ray,
        "engine.slurm": Slurm,
    }.get(group)  # fmt: skip
    if owner is None:
        owner = type(getattr(RunConfig(), group)) if group else RunConfig
    text = owner.__annotations__[name]
    kinds = {"bool": "bool", "tuple": "list", "int": "int", "float": "float", "str": "str",
             "Mapping": "mapping"}  # fmt: skip
    kind = next(kinds[k] for k in kinds if text.startswith(k))
    return kind, "None" in text


def wrong_values():
    """(key, value) for every setting there is and every value that it cannot have."""
    rules = field_rules()
    for key in known_keys():
        kind, nullable = kind_of(key)
        if key in ("engine.chunk", "engine.workers"):
            kind = "int"
        if key == "train.early_stopping":
            yield from ((key, value) for value in ("x", True, -1, 1.5, NAN, [1]))
            continue
        free_text = kind == "str" and not rules.get(key, {}).get("one_of")
        for value in WRONG_TYPES[kind]:
            allowed = (value is None and nullable) or value == "auto"
            named = key not in rules and kind == "str" and isinstance(value, str)
            if not allowed and not (free_text and value in ("no such", "")) and not (
                named and value != "\x00"
            ):  # fmt: skip
                yield key, value
        if key.endswith(".params"):
            yield key, {"no_such": 1}
        rule = rules.get(key, {})
        outside = [rule[n] for n in ("above", "below") if rule.get(n) is not None]
        outside += [rule["low"] - 1] if rule.get("low") is not None else []
        outside += [rule["high"] + 1] if rule.get("high") is not None else []
        yield from ((key, [value] if kind == "list" else value) for value in outside)


CASES = list(wrong_values())


def refusal(key, value):
    """The message with which check_jobs refuses one setting."""
    with pytest.raises(ConfigError) as caught:
        check_jobs([nest({key: value})])
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_table_reaches_every_setting():
    assert {key for key, _ in CASES} == set(known_keys())
    assert len(CASES) > 350


@pytest.mark.parametrize("key", known_keys())
def test_wrong_types_and_ranges(key):
    """Every setting: wrong types, NaN, infinities, just outside its range."""
    for value in [v for k, v in CASES if k == key]:
        message = refusal(key, value)
        assert message.startswith(f"{key} "), (value, message)
        assert "\x00" in str(value) or "allowed: " in message, (value, message)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", -1, "seed is -1; allowed: a whole number from 0 to 4294967295."),
        ("seed", 2**32, "seed is 4294967296; allowed: a whole number from 0 to 4294967295."),
        ("optim.lr", 0, "optim.lr is 0; allowed: a number above 0 and at most 1000000000."),
        (
            "loss.label_smoothing", 1,
            "loss.label_smoothing is 1; allowed: a number from 0 up to but not including 1.",
        ),
        (
            "data.split", [0.5, 0.5, NAN],
            ("data.split is [0.5, 0.5, nan]; allowed: a list of numbers, each from 0 to 1, "
            "such as [0.8, 0.1, 0.1]."),
        ),
        (
            "model.hidden", 200,
            ("model.hidden is 200; allowed: a list of whole numbers, each from 1 to 65536, such as "
            "[200] (width of each hidden layer; [] is the linear net)."),
        ),
        ("model.batch_norm", 1, "model.batch_norm is 1; allowed: true or false."),
        (
            "init.seed", "a",
            "init.seed is 'a'; allowed: a whole number from 0 to 4294967295, or null.",
        ),
        (
            "train.early_stopping", -1,
            (
                "train.early_stopping is -1; allowed: a whole number from 1 to 100000000, or null "
                "(evaluations without a better nll/val)."
            ),
        ),
        ("seed", None, "seed is null; allowed: a whole number from 0 to 4294967295."),
        ("tracking.weights", True, "tracking.weights is true; allowed: one of best, all, none."),
    ],
)  # fmt: skip
def test_what_is_allowed_reads_like_english(key, value, said):
    assert refusal(key, value) == said


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model": {"batch_norm": True}, "train": {"batch_size": 1}}, ["batch_size is 1", "2"]),
        ({"model": {"hidden": [8] * 65}}, ["65 layers", "64"]),
        ({"data": {"split": [0.5, 0.5]}}, ["data.split is [0.5, 0.5]", "three shares"]),
        ({"data": {"split": [0.5, 0.4, 0.2]}}, ["data.split", "sum to 1"]),
        ({"data": {"name": "moons"}}, ["loss.name is 'cross_entropy'", "max_margin"]),
        ({"data": {"path": "x"}}, ["data.path is 'x'", "data=file"]),
        ({"data": {"name": "file"}}, ["data.path is null", "data.path=words.txt"]),
        ({"reg": {"strength": 1.0}}, ["reg.strength is 1", "reg=l2 reg.strength=0,1"]),
        ({"reg": {"name": "dropout", "strength": 1.0}}, ["reg.strength is 1", "not including 1"]),
        ({"optim": {"momentum": 0.9}}, ["optim.momentum is 0.9", "optim=momentum"]),
        ({"loss": {"name": "hinge", "label_smoothing": 0.1}}, ["label_smoothing", "cross_entropy"]),
        ({"loss": {"name": "crossentropy"}}, ["loss.name", "Did you mean 'cross_entropy'?"]),
        ({"model": {"hiden": [3]}}, ["model.hiden", "Did you mean 'hidden'?"]),
        ({"modle": {}}, ["'modle'", "Did you mean 'model'?"]),
        ({"model": 5}, ["model is 5"]),
        ({"engine": {"executor": "rya"}}, ["engine.executor is 'rya'", "Did you mean 'ray'?"]),
        ({"engine": {"ray": {"address": "ray://h:1"}}}, ["engine.ray.address", "HOST:PORT"]),
        ({"engine": {"ray": {"adress": "h:1"}}}, ["engine.ray.adress", "engine.ray.address"]),
        ({"engine": {"slurm": 5}}, ["engine.slurm is 5", "engine.slurm.cluster"]),
        ({"engine": {"slurm": {"cluster": "slrum"}}}, ["Did you mean 'slurm'?"]),
        ({"engine": {"dtype": "float16"}}, ["engine.dtype is 'float16'", "float32, float64"]),
        ({"tracking": {"uri": "ftp://x"}}, ["tracking.uri is 'ftp://x'", "sqlite:///"]),
        ({"tracking": {"uri": "runs/"}}, ["tracking.uri is 'runs/'", "sqlite:///mlflow.db"]),
        ({"tracking": {"uri": "sqlite:////dev/null"}}, ["/dev/null", "no SQLite database"]),
        ({"tracking": {"uri": f"sqlite:///{'x' * 300}"}}, ["tracking.uri", "at most 255"]),
        ({"tracking": {"experiment": ".."}}, ["tracking.experiment is '..'"]),
        ({"tracking": {"experiment": "a\nb"}}, ["tracking.experiment", "printable"]),
        ({"tracking": {"experiment": "x" * 300}}, ["tracking.experiment has 300", "250"]),
        ({"tracking": {"experiment": " "}}, ["tracking.experiment", "not all blank"]),
        ({"ledger": {"dir": ""}}, ["ledger.dir is empty"]),
        ({"ledger": {"dir": "x" * 300}}, ["ledger.dir", "at most 255"]),
        ({"ledger": {"dir": "x/" * 3000}}, ["ledger.dir", "4000 bytes"]),
        ({"ledger": {"dir": "a\x00b"}}, ["ledger.dir", "NUL"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(tmp_path, monkeypatch, config, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HarnessError) as caught:
        check_jobs([config])
    assert caught.value.exit_code == 2
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model": Model(hidden=(65536, 65536, 65536))}, "model.hidden"),
        ({"model": Model(hidden=(65536,), n_embd=999), "data": Data(block_size=9)}, "model.hidden"),
        ({"model": Model(hidden=(65536,)), "train": Train(batch_size=10**6)}, "train.batch_size"),
        (
            {"reg": Reg(name="dropout", strength=0.1), "train": Train(batch_size=300_000)},
            "train.batch_size",
        ),
        ({"train": Train(steps=100_000_000, eval_every=1)}, "train.eval_every"),
    ],
)  # fmt: skip
def test_what_cannot_fit_in_memory_is_refused_before_it_is_made(monkeypatch, change, key):
    monkeypatch.setattr(system, "total_memory", lambda: 32 * 2**30)
    run = RunConfig(**change)
    with pytest.raises(ConfigError, match=rf"^{key} is .* needs about [\d.,]+ GiB .* 32\.0 GiB"):
        footprint.check_memory([run], {run.data: load_data(run.data)})


def test_many_symbols_and_large_chunks_count_too(monkeypatch, tmp_path):
    path = tmp_path / "w.txt"
    path.write_text("\n".join(chr(0x4E00 + i) + chr(0x4E00 + 7 * i % 4000) for i in range(4000)))
    data = Data(name="file", path=str(path))
    words = {data: load_data(data)}
    monkeypatch.setattr(system, "total_memory", lambda: 2**30)
    with pytest.raises(ConfigError, match=r"^data\.block_size is 3: .* 4,001 symbols"):
        footprint.check_memory([RunConfig(data=data)], words)
    names = {Data(): load_data(Data())}
    shape = {"engine": Engine(chunk=64), "model": Model(hidden=(1000, 1000))}
    runs = [RunConfig(seed=seed, **shape) for seed in range(64)]
    monkeypatch.setattr(system, "total_memory", lambda: 2**28)
    with pytest.raises(ConfigError, match=r"^engine\.chunk is 64: 64 runs at a time"):
        footprint.check_memory(runs, names)
    need = footprint.check_memory([RunConfig()], names)
    assert 1_000_000 < need.bytes < 100_000_000  # the lecture's net: some megabytes
    assert footprint.workers_that_fit(need, 64) == int(0.8 * 2**28 / need.bytes)


def test_a_full_disk_is_seen_before_training(monkeypatch, tmp_path):
    names = {Data(): load_data(Data())}
    runs = [RunConfig(seed=s) for s in range(100)]
    monkeypatch.setattr(footprint.shutil, "disk_usage", lambda _: type("U", (), {"free": 2**20}))
    with pytest.raises(ConfigError, match=r"ledger\.dir is .*runs.* free on its disk"):
        footprint.check_disk(runs, names, tmp_path / "no" / "such" / "runs")
    footprint.check_disk(runs[:1], names, tmp_path)


# the command line's own half

LINES = [
    (["sweep", "loss=crossentropy"], ["Did you mean 'cross_entropy'?"]),
    (["train", "init.weigth_scale=1"], ["Did you mean 'init.weight_scale'?"]),
    (["train", "data=names.txt"], ["data=file data.path=names.txt"]),
    (["train", "--foo"], ["--foo is no flag"]),
    (["trian"], ["'trian'", "Did you mean 'train'?"]),
    (["train", "seed"], ["'seed' is no setting", "key=value"]),
    (["train", "=1"], ["names no setting"]),
    (["train", "a b=c"], ["key=value"]),
    (["train", "foo=1"], ["foo is not a setting"]),
    (["train", "seed=0,1"], ["seed=0,1 gives seed several values", "`harness sweep`"]),
    (["train", f"seed={'9' * 5000}"], ["400 digits"]),
    (["train", f"model.hidden={'[' * 3000}{']' * 3000}"], ["nested too deeply"]),
    (["train", "optim.lr=${foo}"], ["optim.lr: ", "'foo' not found"]),
    (["train", "optim.lr=${optim.lr}"], ["optim.lr: Recursive"]),
    (["train", "hydra/launcher=[0]"], ["Hydra cannot read"]),
    (["train", "--into", "x"], ["--into is 'x'", "harness sweep"]),
    (["sweep", "--into"], ["--into"]),
    (["sweep", "seed=0,1", "--into", "../../etc"], ["no sweep"]),
    (["sweep", "seed=range(1e9)"], ["1,000,000,000 runs", f"{LIMIT:,}"]),
    (["sweep", "seed=range(10,0)"], ["names no value"]),
    (["sweep", "seed=range(0,1,0)"], ["never ends"]),
    (["sweep", "ledger.dir=a,b"], ["one value each"]),
    (["sweep", "tracking.uri=ftp://x", "seed=0,1"], ["tracking.uri is 'ftp://x'"]),
    (["train", "tracking.uri=ftp://x"], ["tracking.uri is 'ftp://x'"]),
    (["train", "experiment=../../etc/passwd"], ["experiment is '../../etc/passwd'"]),
    (["train", "loss=../loss/mse"], ["loss is '../loss/mse'"]),
    (["train", "-cn", "../../etc/passwd"], ["../../etc/passwd"]),
    (["train", "-cp", "/etc", "-cn", "passwd"], ["passwd"]),
    (
        ["train", "ledger.dir=/etc/passwd", "train.steps=0"],
        ["/etc/passwd", "a file is where a folder is needed"],
    ),
    (["train", "data.path=\udc80"], ["UTF-8"]),
    (["train", "tracking.experiment=a\x00b"], ["NUL"]),
    (["show", "../../etc/passwd"], ["'../../etc/passwd'"]),
    (["show", "/etc/passwd.yaml"], ["/etc/passwd.yaml"]),
    (["show", "x" * 300], ["no run here is called"]),
    (
        ["show", "abc", "--ledger", "/etc/passwd"],
        [
            "--ledger is '/etc/passwd', and there is no such folder",
        ],
    ),
    (["show", "a\x00b.yaml"], ["NUL"]),
    (["sample", "../.."], ["'../..'"]),
    (["reproduce", "../../x"], ["../../x"]),
    (["rm", "../..", "--yes"], ["no sweep"]),
    (["diff", "a", "b"], ["no run here"]),
    (["compare", "../.."], ["no MLflow store"]),
    (["report", "-o", "x" * 300 + ".html"], ["-o is", "at most 255"]),
    (["report", "-o", "/nonexistent/x.html"], ["there is no folder /nonexistent"]),
    (["estimate", "--plot", "/nonexistent/a.svg"], ["there is no folder /nonexistent"]),
    (["estimate", "optim.lr=0"], ["optim.lr is 0"]),
    (["coordinates", "--widths", "999999999"], ["model.hidden is [999999999]"]),
    (["list", "--uri", "sqlite:////etc/passwd"], ["no SQLite database"]),
    (["list", "--ledger", "y" * 300], ["--ledger", "at most 255"]),
    (["ui", "--port", "x"], ["'x'"]),
]


@pytest.mark.parametrize(("words", "said"), LINES, ids=[" ".join(w)[:60] for w, _ in LINES])
def test_command_lines(monkeypatch, words, said):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, out, err, made = hostile.end_of(words)
    assert (code, made) == (2, set()), err
    assert all(part in err for part in said), err
    assert err.splitlines()[-1].startswith("harness: ") and "Traceback" not in err + out
    assert len(err) < 1000


@pytest.mark.parametrize(
    "words", [["train.steps=1e3"], ["train.early_stopping=off"], ["experiment=null"]]
)
def test_what_looks_odd_and_is_meant_well_is_taken(words):
    code, _, err, made = hostile.end_of(["train", "--dry-run", *words])
    assert (code, made) == (0, set()), err


# word lists

LISTS = [
    (b"", ["holds no words"]),
    (b"\n \n\t\n", ["holds no words"]),
    (b"anna\n", ["1 distinct word", "30 or more"]),
    (b"\n".join(b"a" * n for n in range(1, 40)), ["single symbol 'a'"]),
    (b"anna\nbob\ncaf\xe9\n", ["line 3", "0xe9", "iconv"]),
    ("anna\nbob\n".encode("utf-16"), ["line 1", "UTF-16"]),
    (b"ab" * 600_000, ["line 1", "1,200,000 characters", "at most 1,000"]),
    (b"anna\nb\x00b\n", ["line 2", "U+0000"]),
    (b"anna\nb.b\n", ["line 2", "'.'"]),
    (b"anna\nbob\t3\n", ["line 2", "tab"]),
    (b"anna\nbob\n" * 50, ["2 distinct words", "split is empty"]),
    ("a\u2028b\n".encode(), ["line 1", "U+2028"]),
    (b"PK\x03\x04anna\n", ["w.txt", "packed (zip)", "gzip"]),
    (gzip.compress(b"anna\nbob\n")[:-9], ["w.txt", "cannot be unpacked", "gunzip -t"]),
    (gzip.compress(b"anna\nb\x00b\n"), ["w.txt", "line 2", "U+0000"]),
]


@pytest.mark.parametrize(("content", "said"), LISTS, ids=[repr(c[:20]) for c, _ in LISTS])
def test_word_lists_that_cannot_be_used(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.txt").write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        check_jobs([{"data": {"name": "file", "path": "w.txt"}}])
    assert caught.value.exit_code == 2
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.txt"]


@pytest.mark.parametrize("path", ["/etc", "/dev/zero", "nowhere.txt", "x" * 300, "loop", "a\x00b"])
def test_paths_that_are_no_word_list(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(HarnessError, match=r"^data\.path") as caught:
        check_jobs([{"data": {"name": "file", "path": path}}])
    assert caught.value.exit_code == 2


def test_what_was_put_right_is_said_once_a_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"x{i % 40}y" for i in range(50)]
    (tmp_path / "w.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(words).encode())
    base = {"data": {"name": "file", "path": "w.txt"}, "train": {"batch_size": 1000}}
    check_jobs([{**base, "seed": seed} for seed in range(5)])
    n = load_data(Data(name="file", path="w.txt")).train.n
    told = capsys.readouterr().err.splitlines()
    assert told == [
        (
            "harness: data=file ('w.txt'): byte order mark removed; line ends other than LF "
            "(CRLF or CR) normalised; 10 repeated words removed before the split."
        ),
        (
            f"harness: train.batch_size=1,000 is more than the {n} training examples of data=file; "
            "batches are drawn with replacement, so they repeat them."
        ),
    ]
    assert cli.run(["estimate", "data=file", "data.path=w.txt", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "10 repeated words" in err and out.startswith("{")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["sweep", "loss=crossentropy"], ["train", "model.hidden=[65536,65536]"], ["show", "../x"]],
)  # fmt: skip
def test_as_a_process(tmp_path, words):
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "change",
    [
        {"model": Model(hidden=(3000, 3000))},
        {"train": Train(steps=2, batch_size=100_000)},
        {"reg": Reg(name="dropout", strength=0.1), "train": Train(steps=2, batch_size=8_000)},
        {"data": Data(name="file", path="w.txt"), "model": Model(hidden=(8,))},
    ],
    ids=["parameters", "batch", "dropout", "evaluation"],
)
def test_the_estimate_holds_what_is_really_taken(tmp_path, change):
    """The estimate is above the growth of a process that trains two steps, and not far above."""
    words = (chr(0x4E00 + i) + chr(0x4E00 + 7 * i % 3000) for i in range(3000))
    (tmp_path / "w.txt").write_text("\n".join(words), encoding="utf-8")
    run = RunConfig(**{"train": Train(steps=2), **change})
    code = (
        "import json, re, sys; from harness.config.run import run_config;"
        "from harness.engine.cost import check_memory; from harness import load_data, train;"
        "run = run_config(json.loads(sys.argv[1])); data = load_data(run.data);"
        "need = check_memory([run], {run.data: data}).bytes;"
        # not getrusage: its peak is inherited from the process that started this one
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s*(\\d+)', "
        "open('/proc/self/status').read())[1]);"
        "before = peak(); train([run]); print(need, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(run.nested())], cwd=tmp_path, text=True,
        capture_output=True, check=True, timeout=200,
    )  # fmt: skip
    need, grown = map(int, done.stdout.split())
    assert 0.8 * grown < need < 4 * grown
