"""What is installed: pinned dependencies without CUDA, and a wheel that works from anywhere."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lock():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def name_of(requirement):
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-")


def test_every_dependency_is_pinned():
    pins = {}
    for line in lock():
        match = re.fullmatch(r"([a-z0-9._-]+)==(\S+)( ; .*)?", line)
        assert match, line
        pins.setdefault(match[1].replace("_", "-"), match[2])
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {name_of(text) for text in wanted} <= pins.keys()
    assert pins["torch"] == "2.13.0"  # the build for CPU and CUDA alike; the Makefile reads it here


def test_the_lock_names_no_cuda_package_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^(nvidia|cuda|triton)", text, re.MULTILINE)
    assert "://" not in text and "--" not in text


def test_version_is_said_once_everywhere():
    import harness

    assert harness.__version__ == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    alone = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}  # not make's child
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, env=alone, capture_output=True, text=True, check=True
    )
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert sorted(listed) == sorted(targets)
    assert {"setup", "sweep", "test", "ui", "check", "bench", "clean", "help"} <= set(targets)


def test_no_fitting_python_is_a_clear_message(tmp_path):
    """An interpreter that does not fit is passed over; with none left, make says what to do."""
    copy = tmp_path / "Makefile"
    copy.write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "test", "echo"):
        found = next(p for d in ("/bin", "/usr/bin") if (p := Path(d, tool)).exists())
        (tools / tool).symlink_to(found)
    for python in ("python3.11", "python3"):
        (tools / python).write_text("#!/bin/sh\nexit 1\n")
        (tools / python).chmod(0o755)
    make = shutil.which("make")
    done = subprocess.run(
        [make, "setup"], cwd=tmp_path, capture_output=True, text=True, env={"PATH": str(tools)}
    )
    assert done.returncode == 2
    assert "no Python 3.11 to 3.13 found" in done.stderr
    assert not (tmp_path / ".venv").exists()


USER = """
import numpy as np
import torch

from harness import (
    ConfigError, Data, DataError, Dataset, Drawing, Engine, HarnessError, Init, InitSpec, Ledger,
    Loss, LossSpec, Model, Optim, Reg, RunConfig, RunRecord, Tracking, Train, compare,
    expected_initial_loss, load_data, load_run, plot, plot_boundary, plot_insides,
    read_sweep, records_frame,
    register, run_config, sample, train,
)


def hinge(logits_KBV: torch.Tensor, target_KB: torch.Tensor) -> torch.Tensor:
    return logits_KBV.relu().sum(-1) + 0 * target_KB


spec = LossSpec(value=hinge)
runs = [
    RunConfig(seed=s, init=Init(weight_scale=gain), loss=Loss(name="mse"), model=Model(hidden=()))
    for s in range(3)
    for gain in (0.1, 1.0)
]
records: list[RunRecord] = train(runs, ledger=Ledger("runs"))
first = records[0]
steps, values = first.series["nll/val"]
worst: np.float64 = values.max()
share: float = first.summary["accuracy/val"]
same: RunConfig = first.config
module: torch.nn.Module = first.module()
curves: Drawing = plot(records, metric="loss")
plot(first).savefig("curves.pdf", metadata={"Title": records_frame(records).to_csv()})
compare(records).plot().suptitle(str(first.curves()["nll/val"].min()))
drawn: list[str] = [one.word for one in sample(first, 3)[0]]
plot_boundary(records).savefig("boundary.png")
plot_insides(first).savefig("insides.png")
by_name: Loss = RunConfig(loss="mse", reg="l2").loss
expected = expected_initial_loss(same, load_data(same.data)).expected
if expected is not None:
    print(f"{expected:.3f} {worst:.3f} {share:.3f} {same.resolved().init.output_bias.upper()}")

# what a type checker must see: were harness untyped, these would be idle
Init(weight_scale="large")  # type: ignore[arg-type]
RunConfig(loss=3)  # type: ignore[arg-type]
first.no_such_thing  # type: ignore[attr-defined]
same.init.output_bias.upper()  # type: ignore[union-attr]
"""


class Installed:
    """A wheel of this checkout in an environment of its own, and an empty folder to work in."""

    def __init__(self, folder):
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        subprocess.run([*build, "-w", str(folder), str(ROOT)], check=True, timeout=120)
        (wheel,) = folder.glob("*.whl")
        self.names = zipfile.ZipFile(wheel).namelist()
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.python = str(folder / "env" / "bin" / "python")
        self.empty = folder / "empty"
        self.empty.mkdir()
        self.site = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        self.site = self.site.stdout.strip()
        # ours first, then this environment's packages; its own .pth files are not read, so the
        # checkout stays out of sight
        Path(self.site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        zipfile.ZipFile(wheel).extractall(self.site)

    def run(self, *words):
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [self.python, *words], cwd=self.empty, env=clean, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip

    def harness(self, *words):
        return self.run("-m", "harness", *words)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_what_a_wheel_holds(installed):
    names = installed.names
    assert "hydra_plugins/harness_launcher/fused.py" in names
    assert "hydra_plugins/__init__.py" not in names
    assert "harness/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "conf/"))]
    conf = {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {f"harness/{name}" for name in conf} <= set(names)


@pytest.mark.slow
def test_a_wheel_works_from_an_empty_folder(installed):
    """Installed beside the same dependencies, and run where no project file is in sight."""
    harness = installed.harness
    assert harness("--help").returncode == 0
    done = harness("train", "--cfg", "job", "-p", "data", "data=surnames")
    assert done.returncode == 0 and "name: surnames" in done.stdout
    done = harness("train", "--info", "searchpath")
    assert str(ROOT) not in done.stdout and installed.site in done.stdout
    short = ("train.steps=2", "model.hidden=[4]", "engine.workers=1", "tracking=off")
    done = harness("sweep", "seed=0,1", *short)
    assert done.returncode == 0, done.stderr
    folder = installed.empty / "runs" / "records"
    assert len(list(folder.iterdir())) == 1  # two runs that ended together


@pytest.mark.slow
def test_a_users_typed_program_passes_mypy(installed):
    """The wheel brings its types, and every public name has one."""
    (installed.empty / "user.py").write_text(USER, encoding="utf-8")
    done = installed.run("-m", "mypy", "--strict", "--cache-dir=cache", "user.py")
    assert done.returncode == 0, done.stdout + done.stderr
    import harness

    imported = re.search(r"from harness import \((.*?)\)", USER, re.DOTALL)[1]
    assert {name.strip() for name in imported.split(",")} - {""} == set(harness.__all__)
