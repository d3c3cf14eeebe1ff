"""Nothing in a config is executed: every known way to make one run code is refused."""

import pytest

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
    check_yaml(path)
    path.write_text("")
    check_yaml(path)
