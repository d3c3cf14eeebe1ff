"""Faults injected for real: full and read-only disks, dying workers, no memory, clocks that jump.

What a worker process must suffer is brought in by a sitecustomize.py that stands on its path.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.config.groups import Data, Engine, Model, Optim, Train
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.records.ledger import Ledger
from tests.support.driven import (
    ROOT,
    TINY,
    environment,
    harness,
    numbers,
    numbers_of,
    start,
    wait_for,
    workers_of,
)
from tests.support.faults import HOOK, custom

GRID = ["sweep", *TINY, "train.steps=3000", "seed=0,1,2,3", "tracking=off", "--quiet",
        "ledger.checkpoint_seconds=0.2", "engine.workers=2", "engine.kernel=torch"]  # fmt: skip


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The same sweep, undisturbed."""
    folder = tmp_path_factory.mktemp("calm")
    code, _, err = harness(*GRID, cwd=folder)
    assert code == 0, err
    return numbers(folder / "runs")


def test_one_diverging_run_leaves_99_others_bitwise_as_they_were():
    base = {"data": Data(fraction=0.01), "model": Model(n_embd=3, hidden=(4,)),
            "train": Train(steps=30, eval_every=10), "engine": Engine(chunk=100)}  # fmt: skip
    runs = [RunConfig(seed=s, optim=Optim(lr=0.1), **base) for s in range(100)]
    calm_ = [numbers_of(record) for record in train(runs)]
    runs[37] = RunConfig(seed=37, optim=Optim(lr=1e9), **base)
    found = train(runs)
    assert found[37].verdict == "diverged"
    assert [numbers_of(r) == c for r, c in zip(found, calm_, strict=True)].count(False) == 1
    assert numbers_of(found[37]) != calm_[37]


@pytest.mark.slow
def test_a_worker_that_dies_costs_nothing(tmp_path, calm):
    process = start(*GRID, cwd=tmp_path)
    for pid in wait_for(lambda: workers_of(process), process):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert process.wait(200) == 0, (tmp_path / "err").read_text()
    assert numbers(tmp_path / "runs") == calm


DEADLY = """
import os
def patch(engine):
    real = engine.Chunk._boundary
    def boundary(self):
        if self.step >= 100 and any(run.seed == 2 for run in self.runs):
            DIE
        real(self)
    engine.Chunk._boundary = boundary
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os.kill(os.getpid(), 9)", "failed twice: its process ended"),
        ("raise RuntimeError('boom')", "boom"),
    ],
)
def test_a_run_that_kills_its_worker_is_the_only_one_to_fail(tmp_path, calm, how, said):
    """Its chunk is tried again and halved until it is alone; the rest are as ever."""
    before = custom(tmp_path / "site", DEADLY.replace("DIE", how) + HOOK)
    code, _, err = harness(*GRID, cwd=tmp_path, before=before)
    assert code == 1 and said in err and "1 of 4 runs failed" in err
    got = numbers(tmp_path / "runs")
    assert len(got) == 3 and got.items() <= calm.items()
    (failed,) = Ledger(tmp_path / "runs").failures(calm)
    code, _, err = harness(*GRID, cwd=tmp_path)  # the next launch tries it again
    assert code == 0, err
    assert numbers(tmp_path / "runs") == calm and failed in calm
    assert not Ledger(tmp_path / "runs").failures(calm)


TIGHT = r"""
import re, resource
def patch(engine):
    real = engine.Chunk.__init__
    def init(self, runs, *args, **more):
        command = open("/proc/self/cmdline").read()
        if "execution.process" in command and resource.getrlimit(resource.RLIMIT_AS)[0] < 0:
            engine.Chunk.__init__ = real
            from harness.engine.train import train
            train(runs[:1])  # whatever loads late, loads now
            engine.Chunk.__init__ = init
            import pyarrow.parquet, safetensors.torch
            now = int(re.search(r"VmSize:\s+(\d+)", open("/proc/self/status").read())[1])
            limit = (now + ROOM) * 1024
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        real(self, runs, *args, **more)
    engine.Chunk.__init__ = init
"""


@pytest.mark.slow
def test_a_chunk_that_does_not_fit_in_memory_is_halved(tmp_path):
    """A real limit on the address space, set once the worker has loaded all its code."""
    words = ["sweep", "data.fraction=0.02", "model.hidden=[3000]", "train.steps=2",
             "train.batch_size=4096", "seed=range(0,8)", "engine.chunk=8", "engine.workers=1",
             "tracking=off", "--quiet", "engine.kernel=torch"]  # fmt: skip
    # the kernels hold the activations of one run at a time, the torch form those of the chunk
    code, _, err = harness(*words, cwd=tmp_path)
    assert code == 0, err
    want = numbers(tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs")
    before = custom(tmp_path / "site", TIGHT.replace("ROOM", "600_000") + HOOK)
    status, _, err = harness(*words, cwd=tmp_path, before=before)
    assert status == 0, err
    assert "8 runs do not fit in memory together; going on with halves" in err
    assert numbers(tmp_path / "runs") == want


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(tmp_path, calm):
    """Every look at the wall clock is years off, forwards and backwards."""
    code = """
import time, itertools
real, real_ns, n = time.time, time.time_ns, itertools.count()
def jump():
    return (-1) ** next(n) * 10 ** (next(n) % 9)
time.time = lambda: real() + jump()
time.time_ns = lambda: real_ns() + jump() * 10**9
"""
    words = [w for w in GRID if w != "tracking=off"]
    before = custom(tmp_path / "site", code)
    status, _, err = harness(*words, cwd=tmp_path, before=before)
    assert status == 0 and "Traceback" not in err, err
    assert numbers(tmp_path / "runs") == calm
    status, _, err = harness(*words[:-1], "seed=7", "tracking=off", cwd=tmp_path, before=before)
    assert status == 0, err
    newest = Ledger(tmp_path / "runs").read_sweep()
    assert [config["seed"] for config in newest.configs.values()] == [7]


def file_limit(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_file_size_limit_is_told_and_nothing_is_lost(tmp_path, calm):
    """Records no longer fit: exit 1, one line that says why, and the same command goes on."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *GRID], cwd=tmp_path, env=environment(),
        capture_output=True, text=True, preexec_fn=file_limit(3000),
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "the file size limit is too low" in done.stderr
    assert not numbers(tmp_path / "runs")
    code, _, err = harness(*GRID, cwd=tmp_path)
    assert code == 0, err
    assert numbers(tmp_path / "runs") == calm


MOUNTS = shutil.which("unshare") and os.geteuid() == 0 and not subprocess.run(
    ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
).returncode  # fmt: skip
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="no right to mount file systems here")


@pytest.mark.slow
@needs_mounts
def test_a_full_disk_is_told_and_what_was_finished_is_whole(tmp_path, calm):
    """A file system of 3 MB that something else fills up while runs train."""
    home, kept = tmp_path / "small", tmp_path / "kept"
    home.mkdir()
    script = f"""
        mount -t tmpfs -o size=3m tmpfs {home} && cd {home}
        {sys.executable} -m harness {" ".join(GRID)} & pid=$!
        until ls runs/checkpoints/*.ckpt >/dev/null 2>&1; do sleep 0.05; done
        cat /dev/zero > ballast 2>/dev/null
        wait $pid; code=$?; rm ballast; cp -r runs {kept}; exit $code
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], env=environment(), capture_output=True, text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "the disk is full; free some space" in done.stderr
    there = numbers(kept)
    assert there.items() <= calm.items() and len(there) < 4
    assert not (kept / "corrupt").exists()
    code, _, err = harness(*GRID, f"ledger.dir={kept}", cwd=tmp_path)
    assert code == 0, err
    assert numbers(kept) == calm


@pytest.mark.slow
@needs_mounts
def test_a_read_only_folder_is_refused_before_training(tmp_path):
    script = (
        f"mount -t tmpfs -o ro tmpfs {tmp_path} && cd {tmp_path} && "
        f"exec {sys.executable} -m harness {' '.join(GRID)}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "ledger.dir is" in done.stderr and "the file system is read-only" in done.stderr


@pytest.mark.slow
def test_results_that_cannot_be_printed_are_kept(tmp_path, calm):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *GRID], cwd=tmp_path, env=environment(),
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "No space left" in done.stderr
    assert numbers(tmp_path / "runs") == calm


DRIVER = """
import os, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.support.driven import numbers
from harness.config.groups import Data, Model, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.records.ledger import Ledger
from harness.execution.process import Work, serve

root = Path(sys.argv[1])
runs = [RunConfig(seed=s, data=Data(fraction=0.01), model=Model(n_embd=3, hidden=(4,)),
                  train=Train(steps=6, eval_every=3)) for s in (0, 1)]
load_data(runs[0].data)

def train(folder):
    ledger = Ledger(folder)
    ledger.prepare()
    serve(runs, Work(ledger=ledger, emit=lambda event: None, checkpoint_seconds=0.0))

def counted(name, die_at):
    real = getattr(os, name)
    def step(*args, **more):
        global calls
        calls += 1
        if calls == die_at:
            if die_after:
                real(*args, **more)
            os.kill(os.getpid(), 9)
        return real(*args, **more)
    setattr(os, name, step)

train(root / "calm")
want, at, points = numbers(root / "calm"), 0, 0
for die_after in (False, True):
    status, at = 9, 0
    while status == 9:
        at += 1
        child = os.fork()
        if child == 0:
            calls = 0
            for name in ("fsync", "mkdir", "rename", "replace", "unlink", "rmdir"):
                counted(name, at)
            train(root / f"{die_after}{at}")
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        ledger = Ledger(root / f"{die_after}{at}")
        safe = ledger.finished(want, verify=True)
        assert all(numbers(ledger.root)[run] == want[run] for run in safe)
        train(ledger.root)
        assert numbers(ledger.root) == want, at
        assert safe <= set(ledger.run_ids())
        assert not list((ledger.root / "checkpoints").iterdir()), at
        assert not list((ledger.root / "tmp").iterdir()), at
        assert not (ledger.root / "corrupt").exists(), at
    points += at - 1
print(points)
"""


@pytest.mark.slow
def test_killed_at_every_commit_point_of_training(tmp_path):
    """Before and after every fsync, rename, mkdir and unlink of a chunk that is trained, saved and
    written; trained again, it ends in the same numbers and leaves nothing over."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(ROOT)],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 60


@pytest.mark.slow
def test_a_slow_listener_is_no_reason_to_wait_for(tmp_path):
    """Workers' lines are read by a thread of their own: a parent that is stopped for a while and
    goes on loses none of them."""
    process = start(*GRID, cwd=tmp_path)
    wait_for(lambda: workers_of(process), process)
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(4.0, os.kill, [process.pid, signal.SIGCONT]).start()
    assert process.wait(200) == 0
    assert len(numbers(tmp_path / "runs")) == 4
