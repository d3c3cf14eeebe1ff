"""The kernels themselves: memory, other processors' vectors, numbers that are none."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness import load_data, train
from harness.config.groups import Data, Init, Model, Train
from harness.config.run import Engine, RunConfig
from harness.engine.chunk import Chunk
from harness.engine.stacked import Stacked
from harness.records.ledger import Ledger
from tests.support import native_runs
from tests.support.driven import TINY, harness

ROOT = Path(__file__).parents[2]
X86 = platform.machine() in ("x86_64", "AMD64")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g")


@pytest.fixture(autouse=True, scope="module")
def _once(form):
    """These tests are of the kernels alone."""
    if form == "torch":
        pytest.skip("of the kernels alone")


def builds():
    """Flags under which the kernels are built as for other processors."""
    yield ("-DVECTOR_BYTES=16",)
    yield ("-DVECTOR_BYTES=32",)
    if X86:
        yield ("-march=haswell",)  # AVX2, 16 registers
        yield ("-march=x86-64",)  # SSE2, no fused multiply-add


@pytest.mark.slow
@pytest.mark.parametrize("flags", list(builds()), ids=" ".join)
def test_every_width_of_vector_gives_the_same_numbers(flags, monkeypatch):
    """Sizes with tails, all losses: a few steps end where the torch form ends, to rounding."""
    if "-march=haswell" in flags and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    native_runs.built_with(monkeypatch, *flags)
    for chunk in native_runs.awkward():
        data = load_data(chunk[0].data)
        wide = {"rel": 1e-9, "abs": 1e-10} if chunk[0].engine.dtype == "float64" else {
            "rel": 2e-4, "abs": 2e-5}  # fmt: skip
        torch_form = [as_torch(run) for run in chunk]
        for got, want in zip(Chunk(chunk, data).run(), train(torch_form, data=data), strict=True):
            for name in ("loss/train", "nll/val", "nll_calibrated/val"):
                if name in want.series:
                    assert got.series[name][1] == pytest.approx(want.series[name][1], **wide)
            for name, weight in want.weights.items():
                torch.testing.assert_close(
                    got.weights[name], weight, rtol=wide["rel"] * 10, atol=wide["abs"] * 10
                )


def as_torch(run: RunConfig) -> RunConfig:
    return dataclasses.replace(run, engine=Engine(dtype=run.engine.dtype, kernel="torch"))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_what_is_no_number_is_seen_as_torch_sees_it(kind, value):
    """A weight that blew up: for every loss and activation, each metric is finite where it is in
    torch, and equal to it there. What is not a number stays so through further steps.
    """
    for native, config in native_runs.poisoned(kind, value):
        data = load_data(config.data)
        twin = Stacked(native.runs, data)
        for k in range(native.K):
            twin.load(k, native.weights(k))
        mine, other = (
            form.evaluations(("train", "val")).evaluate(range(native.K)) for form in (native, twin)
        )
        for k in mine:
            name = native.runs[k].loss.name, config.model.activation
            assert seen(mine[k]) == seen(other[k]), name
        native.train(0, 3, range(native.K))
        after = native.evaluations(("train", "val")).evaluate(range(native.K))
        if math.isnan(value):
            assert all(math.isnan(after[k]["nll/train"]) for k in after), config.model.activation


def seen(values):
    """Which metrics are finite, and nll to three digits where it is."""
    return {n: n.startswith("nll/") and f"{v:.3g}" for n, v in values.items() if math.isfinite(v)}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_no_access_out_of_bounds_and_nothing_undefined(compiler, tmp_path):
    """Address and undefined-behaviour sanitizers over awkward sizes, inf and nan."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    found = [sanitizer(compiler, name) for name in ("asan", "ubsan")]
    if not all(found):
        pytest.skip(f"{compiler} has no sanitizers here")
    env = {
        **os.environ, "CXX": compiler, "LD_PRELOAD": " ".join(map(str, found)),
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0", "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path),
    }  # fmt: skip
    asked = [sys.executable, "-m", "tests.support.native_runs", *SANITIZE]
    done = subprocess.run(asked, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "clean", done.stderr[-3000:]


def sanitizer(compiler, name):
    """The shared runtime of a sanitizer, None where the compiler has none."""
    names = [f"lib{name}.so"] if compiler == "g++" else [
        f"libclang_rt.{name}-{platform.machine()}.so", f"libclang_rt.{name}.so"]  # fmt: skip
    for file in names:
        asked = subprocess.run(
            [compiler, f"-print-file-name={file}"], capture_output=True, text=True
        )
        path = Path(asked.stdout.strip())
        if path.is_absolute() and path.exists():
            return path.resolve()
    return None


@pytest.mark.slow
def test_without_a_compiler_torch_trains_and_that_is_said_once(tmp_path):
    """With the package to install; engine.kernel=native is refused with the same words."""
    hidden = {"PATH": str(tmp_path / "none"), "CXX": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    told = (*TINY, "train.steps=20", "train.eval_every=10", "tracking=off")
    code, _, err = harness("sweep", "loss=mse,nll", *told, cwd=tmp_path, **hidden)
    assert code == 0 and err.count("apt install g++") == err.count("torch alone") == 1, err
    records = Ledger(tmp_path / "runs").read_many(Ledger(tmp_path / "runs").run_ids())
    assert {r.provenance["kernel"] for r in records.values()} == {"torch"}
    code, _, err = harness("train", *told, "engine.kernel=native", cwd=tmp_path, **hidden)
    assert code == 2 and "engine.kernel is 'native'" in err and "apt install g++" in err, err


def test_numbers_below_the_normal_ones_are_zero_while_kernels_run():
    """They cost a hundred times the arithmetic; the caller's own are left alone."""
    run = RunConfig(
        data=Data(fraction=0.05), model=Model(hidden=(16,)), init=Init(weight_scale=1e-39),
        train=Train(steps=1, eval_every=1), engine=Engine(kernel="native"),
    )  # fmt: skip
    begin, end = train([dataclasses.replace(run, train=Train(steps=0)), run])
    tiny = torch.finfo(torch.float32).tiny

    def below(record):
        weight = record.weights["hidden.0.weight"]
        return int(((weight != 0) & (weight.abs() < tiny)).sum())

    assert below(begin) == begin.weights["hidden.0.weight"].numel() and below(end) == 0
    assert float(torch.tensor(1e-40) * torch.tensor(1.0)) > 0
