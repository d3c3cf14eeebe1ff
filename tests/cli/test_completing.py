"""Completion: verbs, flags, settings, their values, ids, files; in the protocol of each shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import completing, hydra_api
from harness.cli import main as cli
from harness.cli.near import OWN_FLAGS
from harness.cli.shells import SHELLS
from harness.components import LOSSES, register
from harness.errors import ConfigError
from tests.support.strange import FOCAL


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """What a shell is told of a line, as it asks it in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def answer(line, shell="zsh", cuts=""):
        monkeypatch.setenv("_HARNESS_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_CUTS", cuts)
        assert cli.run([]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return answer


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("harness es", ["estimate"]),
        ("harness train lo", ["loss.", "loss="]),
        ("harness train see", ["seed="]),
        ("harness train init.w", ["init.weight_scale="]),
        ("harness train engine.slurm.p", ["engine.slurm.partition="]),
        ("harness train loss=cr", ["loss=cross_entropy", "loss=crammer_singer"]),
        ("harness sweep loss=mse,br", ["loss=mse,brier"]),
        ("harness train model.batch_norm=", ["model.batch_norm=true", "model.batch_norm=false"]),
        ("harness train init.output_bias=l", ["init.output_bias=log_unigram"]),
        ("harness train train.batch_size=", ["train.batch_size=full"]),
        ("harness train optim.lr=", []),
        ("harness train --cfg ", ["job", "hydra", "all"]),
        ("harness sweep loss=mse --zi", ["--zip"]),
        ("harness train --zi", []),  # of sweep alone
        ("harness train search.tr", []),
        ("harness search search.tr", ["search.trials="]),
        ("harness estimate optim.sche", [
            "optim.schedule=", "optim.schedule_at=", "optim.schedule_factor=",
        ]),
        ("harness compare --wh", ["--where"]),
        ("harness compare --by optim.l", ["optim.lr"]),
        ("harness compare --sort best/s", ["best/step"]),
        ("harness compare --where reg=l2_", ["reg=l2_sum"]),
        ("harness explain tracking.no", ["tracking.note"]),
        ("harness explain optim=ada", ["optim=adam", "optim=adamw"]),
        ("harness components pen", ["penalties"]),
        ("harness completion f", ["fish"]),
        ("harness show ", ["newest", "best", "best:"]),
        ("harness compare --ledger nowhere ", ["newest", "all"]),
    ],
)  # fmt: skip
def test_what_could_come_next(ask, line, want):
    assert sorted(ask(line)) == sorted(want)


def test_experiments_and_choices_of_every_group_are_offered(ask):
    assert {"experiment=main", "experiment=smoke"} <= set(ask("harness sweep experiment="))
    assert {"data.", "data=", "seed=", "tracking."} <= set(ask("harness train "))


def test_own_settings_of_a_component_that_is_named(ask):
    space: dict[str, object] = {}
    exec(FOCAL, space)
    register("focal", space["SPEC"])
    try:
        assert ask("harness train loss.p") == []
        assert ask("harness train loss=foc") == ["loss=focal"]
        assert ask("harness train loss=focal loss.p") == ["loss.params.gamma="]
    finally:
        LOSSES._registered.pop("focal")


def test_ids_are_those_of_the_ledger_that_is_named(ask, tmp_path):
    for folder, sweep, runs in (("runs", "aa11", ["aa11"]), ("other", "bb22", ["cc33", "cd44"])):
        (tmp_path / folder / "sweeps").mkdir(parents=True)
        text = json.dumps({"sweep_id": sweep, "run_ids": runs})
        (tmp_path / folder / "sweeps" / f"{sweep}.json").write_text(text)
    assert ask("harness report a") == ["all", "aa11"]
    assert ask("harness sweep --into a") == ["all", "aa11"]
    assert ask("harness reproduce --ledger other c") == ["cc33", "cd44"]
    assert ask("harness show --ledger other best:") == ["best:bb22"]
    (tmp_path / "other" / "sweeps" / "bb22.json").write_text("{damaged")
    assert ask("harness reproduce --ledger other c") == []


def test_paths(ask, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.txt").touch()
    (tmp_path / ".hidden").touch()
    assert ask("harness train data=file data.path=") == ["data.path=lists/"]
    assert ask("harness train data.path=lists/") == ["data.path=lists/a.txt"]
    assert ask("harness train -cd l") == ["lists/"]
    assert ask("harness report -o li") == ["lists/"]
    assert ask("harness train data.path=nowhere/") == []


def test_hydras_flags_are_those_that_hydra_has():
    for flag, values in completing.HYDRA_FLAGS.items():
        for value in values or ("",):
            words = [flag, value] if value else [flag]
            if flag in ("--config-name", "--config-path", "--config-dir", "--package"):
                words = [flag, "x"]
            hydra_api.parse_flags(words)
    with pytest.raises(ConfigError):
        hydra_api.parse_flags(["--cfg", "nothing"])
    assert OWN_FLAGS["sweep"][0] == "--again"


def test_bash_is_told_what_follows_its_last_cut(ask):
    assert ask("harness train loss=ms", "bash", cuts=" =:") == ["mse"]
    assert ask("harness train loss=ms", "bash", cuts=" ") == ["loss=mse"]
    assert ask("harness train loss=ms", "bash", cuts="") == ["loss=mse"]


@pytest.mark.parametrize("shell", SHELLS)
def test_one_script_a_shell_by_any_of_three_ways(shell, monkeypatch, capsys):
    assert cli.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_HARNESS_COMPLETE={shell}_complete" in script
    assert cli.run(["train", "-sc", f"install={shell}"]) == 0
    assert capsys.readouterr().out == script
    assert cli.run(["-sc", f"uninstall={shell}"]) == 0
    assert "harness" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert cli.run(["completion"]) == 0
    assert capsys.readouterr().out == script
    monkeypatch.setenv("_HARNESS_COMPLETE", f"{shell}_source")
    assert cli.run([]) == 0
    assert capsys.readouterr().out.strip() == script.strip()


def test_an_unknown_shell_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert cli.run(["completion"]) == 2
    assert "allowed: bash, zsh, fish" in capsys.readouterr().err
    assert cli.run(["train", "-sc", "install=tcsh"]) == 2
    assert "-sc is followed by 'install=tcsh'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_itself(tmp_path):
    """The function that bash calls, in bash, with the command as it is typed."""
    command = tmp_path / "harness"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path.cwd())!r})\n"
        "from harness.cli.main import main\nmain()\n"
    )
    command.chmod(0o755)
    text = """
        eval "$(harness completion bash)"
        COMP_LINE="harness train loss=mse,br" COMP_POINT=25
        _harness_completion harness
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", text], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["mse,brier"]


def test_an_answer_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; from harness.cli.main import run; run([]);"
        "print([m for m in ('torch', 'mlflow', 'hydra', 'scipy', 'pandas') if m in sys.modules])"
    )
    env = {
        **os.environ, "_HARNESS_COMPLETE": "zsh_complete", "PYTHONPATH": str(Path.cwd()),
        "COMP_LINE": "harness train loss=mse optim=adam loss=",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "loss=hinge" in done.stdout.split() and done.stdout.splitlines()[-1] == "[]"
