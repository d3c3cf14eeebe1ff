"""The command line as a process: start-up, exit codes, one clear message, nothing left behind."""

import json
import os
import subprocess
import sys

import pytest

from harness.cli import main as cli


def harness(*words, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=cwd, capture_output=True, text=True,
        env=os.environ | environment, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_help_names_the_verbs_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; from harness.cli.main import run; run(['--help']);"
        "print([m for m in ('torch', 'mlflow', 'hydra', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for verb in ("train", "sweep", "ui"):
        assert f"\n  {verb} " in done.stdout


def test_importing_the_package_loads_no_torch(tmp_path):
    code = "import sys, harness; harness.RunConfig(); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "loss=crossentropy"], "Did you mean 'cross_entropy'"),
        (["train", "optim.lr=.nan"], "optim.lr is '.nan'; allowed: a number above 0"),
        (["train", "optim.lr=0,1"], "several values, which make a grid; allowed: a grid with"),
        (["train", "model.hidden=200"], "model.hidden is 200; allowed: a list"),
        (["train", "reg.strength=1"], "reg=l2 reg.strength=0,1"),
        (["sweep", "init.weight_scale=1,-1"], "init.weight_scale is -1"),
        (["train", "optim.lr"], "optim.lr"),
        (["train", "data=file", "data.path=absent (1).txt"], "absent (1).txt"),
        (["train", "--experimental-rerun", "x.pickle"], "refused"),
        (["train", "+model._target_=os.system"], "refused"),
        (["train", "tracking.experiment='${oc.env:HOME}'"], "refused"),
        (["train", "-cp", "nowhere"], "nowhere"),
        (["train", "-cd", "nowhere"], "nowhere"),
        (["train", "--resolve"], "--cfg"),
        (["train", "--bogus"], "--bogus"),
        (["trian"], "trian"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert cli.run(words) == 2
    out, err = capsys.readouterr()
    assert said in err and "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_config_of_ones_own_cannot_run_code(tmp_path, monkeypatch, capsys):
    """A YAML of the user's is looked at before anything is built from it."""
    (tmp_path / "experiment").mkdir()
    own = tmp_path / "experiment" / "own.yaml"
    monkeypatch.chdir(tmp_path)
    for text in (
        "hydra:\n  callbacks:\n    x: {_target_: pathlib.Path.touch, self: made}\n",
        "seed: !!python/object/apply:os.system ['touch made']\n",
        "tracking: {experiment: '${oc.env:HOME}'}\n",
    ):
        own.write_text("# @package _global_\n" + text)
        assert cli.run(["train", "-cd", ".", "experiment=own"]) == 2
        assert "own.yaml" in capsys.readouterr().err
        assert not (tmp_path / "made").exists()
    (tmp_path / "config.yaml").write_text("hydra: {callbacks: {x: {_target_: os.getcwd}}}\n")
    assert cli.run(["train", "-cp", "."]) == 2
    assert "config.yaml" in capsys.readouterr().err


def test_hydras_own_flags_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = list(sys.argv)
    assert cli.run(["sweep", "--cfg", "job", "-p", "optim", "optim=adam"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["name: adam", "lr: 0.001"]
    assert cli.run(["train", "-cd", str(tmp_path), "--info", "searchpath"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert sys.argv == argv
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    assert cli.run(["train", "loss=x"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_as_a_process(tmp_path):
    done = harness("train", "loss=ms", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [
        (
            "harness: loss is 'ms'; known: bce, binary_cross_entropy, brier, crammer_singer, "
            "cross_entropy, hinge, max_margin, mse, nll, squared_error, squentropy. Did you mean "
            "'mse'?"
        )
    ]
    done = harness("train", "--help", cwd=tmp_path)
    assert done.returncode == 0 and " main," in done.stdout and " smoke" in done.stdout
    assert "conf/experiment" in done.stdout


def test_a_grid_for_estimate_by_hydras_own_flag(tmp_path, monkeypatch, capsys):
    """-m is no way to be told of the first configuration alone; each of --json says which it is."""
    monkeypatch.chdir(tmp_path)
    grid = ["estimate", "data.fraction=0.02", "init.weight_scale=0.1,1"]
    assert cli.run([*grid, "-m", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["config"]["init.weight_scale"] for one in found] == [0.1, 1.0]
    assert cli.run([*grid, "--sweep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_ledger_that_is_named_must_be_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["compare"], ["list"], ["show", "abc"], ["report"], ["rm", "abc", "--yes"]):
        assert cli.run([*words, "--ledger", "nope"]) == 2
        assert "--ledger is 'nope', and there is no such folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_coordinates_answer_in_words(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["coordinates", "data.fraction=0.02", "--widths", "8,32", "--depths", "1,2"]
    assert cli.run([*words, "--steps", "2", "init.scheme=normal"]) == 0
    out = capsys.readouterr().out
    assert "not level: output at step 0" in out  # logits grow as width^.5
    assert "2 hidden layers of 32: " in out
    assert cli.run(["coordinates", "--widths", "8", "--depths", "1", "--steps", "2"]) == 0
    assert "nothing to compare" in capsys.readouterr().out
    assert cli.run(["coordinates", "--widths", "8,-1"]) == 2
    assert "widths are 8, -1; allowed: whole numbers, 1 or more" in capsys.readouterr().err
