"""`harness doctor`: what there is, what is missing and the command that brings it, 80 columns."""

import importlib.util

import pytest

from harness.cli import doctor
from harness.cli import main as cli
from harness.engine import kernel
from tests.support.driven import free_port


def answered(capsys, *words):
    assert cli.run(["doctor", *words]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= doctor.WIDTH
    return out


def test_it_names_everything_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = answered(capsys)
    titles = [line.split()[0] for line in out.splitlines() if line and line[0] != " "]
    for title in ("harness", "packages", "cores", "memory", "kernels", "compiler", "card", "ray",
                  "slurm", "optuna", "postgres", "store", "ledger"):  # fmt: skip
        assert title in titles
    assert "made by the first sweep" in out and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", ["ray", "slurm", "optuna", "postgres"])
def test_a_missing_extra_comes_with_its_pip_command(monkeypatch, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    what, packages = doctor.EXTRAS[extra]
    assert doctor._extra(extra, what, packages)[2] == f"pip install 'harness[{extra}]'"


def test_a_machine_without_a_compiler_is_told_how_to_get_one(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor._compiler()[1:] == (
        "none", "apt install g++ (for native kernels; torch does without)"
    )  # fmt: skip


def test_kernels_that_cannot_be_had_are_told_with_the_reason(monkeypatch):
    assert doctor._kernels() == ("kernels", "native code, built for this processor", "")
    monkeypatch.setattr(kernel, "unavailable", lambda: "no C++ compiler was found; install one")
    _, text, remedy = doctor._kernels()
    assert text.startswith("torch alone") and remedy == "no C++ compiler was found; install one"


def test_a_server_that_is_down_and_a_wrong_address_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = answered(capsys, "--uri", f"http://ada:secret@127.0.0.1:{free_port()}")
    assert "secret" not in out
    said = " ".join(out.split())
    assert "does not answer" in said and "harness sync" in said
    assert "tracking.uri" in answered(capsys, "--uri", "ftp://x")
