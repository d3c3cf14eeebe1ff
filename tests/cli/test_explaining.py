"""Settings are explained from one source: by `harness explain`, by --help, by docs/settings.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main as cli
from harness.cli.explaining import explain, overview
from harness.cli.spelling import known_keys
from harness.components import LOSSES, register
from harness.config import catalogue
from harness.config.labels import text
from harness.config.meanings import MEANINGS
from harness.config.run import RunConfig
from tests.support.strange import FOCAL

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_setting_has_a_meaning_and_no_meaning_is_left_over():
    assert set(catalogue.entries()) == set(MEANINGS)
    assert set(known_keys()) <= set(catalogue.entries())


def test_defaults_are_those_of_a_run():
    plain = RunConfig().flat()
    entries = catalogue.entries()
    for key, value in plain.items():
        if entries[key].default != "null":  # null: the run says what that means
            assert entries[key].default == text(value), key
    assert entries["optim.lr"].default == "0.1" and entries["train.steps"].default == "2000"
    assert entries["model.hidden"].default == "[200]"


def test_a_setting_at_length(capsys):
    assert cli.run(["explain", "init.weight_scale"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("init.weight_scale: factor on the weights that init.scope names")
    assert "a number from 0 to 1000000 (multiple of the scheme's std)" in out
    assert "default    1" in out
    assert "together in one program" in out
    assert "in a program of its own" not in out


def test_what_a_setting_changes():
    assert any("part of a run's id" in line for line in explain("optim.lr"))
    assert any("changes no number" in line for line in explain("engine.workers"))
    assert any("replicates differ in it" in line for line in explain("init.seed"))
    assert any("each in a program of its own" in line for line in explain("train.batch_size"))


@pytest.mark.parametrize("key", [*MEANINGS, *catalogue.groups()])
def test_all_of_them_fit_a_terminal_of_80_columns(key):
    lines = explain(key)
    assert max(map(len, lines)) <= 80
    assert key in lines[0]


def test_components_are_listed_with_their_setting():
    lines = "\n".join(explain("loss.name"))
    for name in LOSSES:
        assert f"  {name} " in lines


def test_a_choice_shows_its_file():
    lines = explain("data=file")
    assert "conf/data/file.yaml:" in lines and "  name: file" in lines


def test_what_was_meant(capsys):
    for key, hint in (
        ("lr", "Did you mean 'optim.lr'?"),
        ("optim.learning_rate", "Did you mean 'optim.lr'?"),
        ("optimm", "Did you mean 'optim'?"),
        ("loss=mze", "allowed for loss: "),
    ):
        assert cli.run(["explain", key]) == 2
        assert hint in capsys.readouterr().err


def test_help_explains_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert overview() in out
    assert all(f"  {key} " in out for key in MEANINGS)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_a_component_declares(capsys):
    scope = {}
    exec(compile(FOCAL, "focal", "exec"), scope)
    register("focal_explained", scope["SPEC"])
    assert cli.run(["explain", "loss.params.gamma"]) == 0
    out = capsys.readouterr().out
    assert "With loss=focal_explained:" in out
    assert "loss.params.gamma" in out and "from 0 to 10" in out
    assert cli.run(["explain", "loss=focal_explained"]) == 0
    assert "loss.params.gamma" in capsys.readouterr().out


def test_the_page_is_up_to_date():
    command = [sys.executable, "-m", "harness.cli.explaining"]  # without what a test has registered
    made = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    there = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert there == made.stdout, "python -m harness.cli.explaining > docs/settings.md"
