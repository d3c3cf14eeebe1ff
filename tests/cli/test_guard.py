"""Nothing in a config is executed: every known way to make one run code is refused."""

import pytest
import yaml

from harness.cli import main as cli
from harness.cli.guard import check_setting, check_yaml
from harness.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model._target_", "os.system"),
        ("hydra.callbacks.x", {"_target_": "builtins.print"}),
        ("hydra.callbacks", [{"deep": {"_target_": "x"}}]),
        ("hydra.job_logging.handlers", {"x": {"()": "os.system"}}),
        ("hydra.job_logging.handlers.x.class", "code.InteractiveConsole"),
        ("hydra.job_logging.handlers.x.stream", "ext://os.system"),
        ("hydra.sweeper.custom_search_space", "os.system"),
        ("hydra.job.env_set.PYTHONPATH", "evil"),
        ("hydra.searchpath", ["pkg://evil"]),
        ("tracking.experiment", "${oc.env:HOME}"),
        ("tracking.experiment", "${${x}:HOME}"),
        ("tracking.experiment", "a ${now:%Y} ${oc.env:HOME}"),
        ("model.hidden", ["${oc.decode:1}"]),
    ],
)
def test_refused_override(key, value):
    with pytest.raises(ConfigError, match="refused"):
        check_setting(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.lr", 0.1),
        ("optim.embed_lr", "${optim.lr}"),
        ("model.hidden", [64, 64]),
        ("hydra.sweep.dir", "runs/${now:%Y-%m-%d}"),
        ("data.path", "C:/odd:name.txt"),
        ("data.path", None),
    ],
)
def test_plain_override_passes(key, value):
    check_setting(key, value)


@pytest.mark.parametrize(
    "text",
    [
        "model: {_target_: os.system}",
        'model: {"_tar\\x67et_": os.system}',  # the escape is undone by YAML, not by a text search
        "model:\n  a: &x {_target_: os.system}\n  b: *x",
        "seed: !!python/object/apply:os.system ['true']",
        "seed: !!python/name:os.system",
        "seed: !own 3",
        "? !!python/name:os.system\n: 1",
        "tracking: {experiment: '${oc.env:HOME}'}",
        "hydra: {searchpath: [pkg://evil]}",
        "hydra: {job: {env_set: {A: b}}}",
        "hydra: {job_logging: {handlers: {x: {'()': os.system}}}}",
    ],
)
def test_refused_yaml(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"own\.yaml.*refused"):
        check_yaml(path)


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"a: b: c"])
def test_what_is_no_yaml_is_named(tmp_path, content):
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"own\.yaml (is no YAML|cannot be read)"):
        check_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        "a: " + "[" * 5000 + "]" * 5000,
    ],
)  # fmt: skip
def test_what_grows_without_end_is_refused(tmp_path, text):
    """A loop of aliases; eleven aliases of nine aliases each; brackets without end."""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"own\.yaml (grows without end|is nested too deeply)"):
        check_yaml(path)


def test_plain_yaml_passes(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "# @package _global_\nseed: 3\noptim: {lr: 1.0e-3, embed_lr: null}\na: &a [1]\nb: *a\n"
    )
    assert check_yaml(path) == []
    path.write_text("")
    assert check_yaml(path) == []


def test_numbers_that_yaml_reads_in_another_base_are_told(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("seed: 010\noptim: {lr: 0.10}\ntrain:\n  steps: 1:30\ndata: {path: '010'}\n")
    first, second = check_yaml(path)
    assert "line 1: `seed: 010` is 8, as YAML reads it in base 8; write 8" in first
    assert first.endswith("else 10.")
    assert "line 4: `train.steps: 1:30` is 90, as YAML reads it in base 60" in second
    assert yaml.safe_load(path.read_text())["seed"] == 8


def test_a_seed_with_a_zero_in_front_is_told_once_by_the_command(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 010\n")
    words = ["sweep", "-cd", str(tmp_path), "experiment=mine", "loss=mse,bce", "--dry-run"]
    assert cli.run(words) == 0
    err = capsys.readouterr().err
    assert err.count("`seed: 010` is 8") == 1


def test_params_given_as_a_yaml_list_are_refused_with_the_text_to_write(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    own = tmp_path / "experiment" / "mine.yaml"
    head = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      optim.lr: "
    words = ["sweep", "-cd", str(tmp_path), "experiment=mine", "--dry-run"]
    own.write_text(f"{head}[0.1, 0.2]\n")
    assert cli.run(words) == 2
    assert "write the text '0.1,0.2'" in capsys.readouterr().err
    own.write_text(f"{head}0.1,0.2\n")
    assert cli.run(words) == 0
    assert "optim.lr (2) = 2 points" in capsys.readouterr().out
