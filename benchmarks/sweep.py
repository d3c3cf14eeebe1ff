"""The main job as one fused sweep against one process a run, wall clock, both on all cores.

    python -m benchmarks.sweep [--peers 6]

Three peers, as many processes at once as there are cores. The first two are the lecture's loop as
a script of its own: start Python, import torch, train 3,000 steps with 20 looks at the whole
training and validation splits. `bare` keeps nothing; `tracked` writes what such a script usually
does: a run in MLflow (one SQLite store for all) with 12 params and, at each look, two metrics.
`harness train` does for one run what the sweep does for each of its 360: some fifty metrics, record
and artifacts. The sweep is `harness sweep experiment=main`, MLflow and ledger included, into an
empty folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import system

CORES, RUNS = system.cores(), 360
ENV = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])),
}
PEER = """
import sys
import torch
from torch.nn.functional import cross_entropy
from benchmarks.lecture_loop import LectureLoop
from harness import system
from harness.config.groups import Data
from harness.data.dataset import load_data
torch.set_num_threads(1)
tracked = len(sys.argv) > 1
if tracked:
    import mlflow
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment("peer")
    mlflow.start_run()
    mlflow.log_params({f"setting{i}": i for i in range(12)})
data = load_data(Data(fraction=0.1))
splits = [(torch.from_numpy(s.x), torch.from_numpy(s.y)) for s in (data.train, data.val)]
loop = LectureLoop(*splits[0])
for look in range(20):
    loop.run(150)
    losses = {}
    with torch.no_grad():
        for name, (x, y) in zip(("train", "val"), splits):
            h = torch.tanh(loop.c[x].view(len(x), -1) @ loop.w1 + loop.b1)
            losses[name] = cross_entropy(h @ loop.w2 + loop.b2, y).item()
    if tracked:
        mlflow.log_metrics(losses, step=loop.step)
if tracked:
    mlflow.end_run()
"""
TRAIN = [
    sys.executable, "-m", "harness", "train", "data.fraction=0.1", "train.steps=3000",
    "optim.schedule=constant",
]  # fmt: skip
MAKE_STORE = (
    "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_experiment('peer')"
)


def main() -> None:
    """Print all times, and how many times faster a run of the sweep is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=6, help="processes to time for each peer")
    rounds = max(1, parser.parse_args().peers // CORES)
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/peer.db"
        subprocess.run(
            [sys.executable, "-c", MAKE_STORE, store],
            check=True,
            env=ENV,
            stderr=subprocess.DEVNULL,
        )
        script = [sys.executable, "-c", PEER]
        took: dict[str, list[float]] = {"bare": [], "tracked": [], "harness train": []}
        peers([TRAIN], folder)  # makes its store
        for number in range(1, rounds + 1):
            took["bare"].append(peers([script] * CORES, folder))
            took["tracked"].append(peers([[*script, store]] * CORES, folder))
            seeds = [f"seed={CORES * number + i}" for i in range(CORES)]
            took["harness train"].append(peers([[*TRAIN, seed] for seed in seeds], folder))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "harness", "sweep", "experiment=main", "--quiet"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=ENV)
        sweep = time.perf_counter() - start
    print(f"fused sweep: {sweep / RUNS:.3f} s a run ({sweep:.0f} s for {RUNS}, tracked)")
    for name, seconds in took.items():
        a_run = statistics.median(seconds)
        print(
            f"one process a run, {name}: {a_run:.2f} s a run on {CORES} cores, median of {rounds}: "
            f"{a_run / (sweep / RUNS):.1f} x"
        )


def peers(commands: list[list[str]], folder: str) -> float:
    """Seconds a run of commands that run at once, one on each core."""
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(words, cwd=folder, env=ENV, **quiet) for words in commands]
    codes = [one.wait() for one in running]
    if any(codes):
        raise SystemExit("a peer failed")
    return (time.perf_counter() - start) / CORES


if __name__ == "__main__":
    main()
