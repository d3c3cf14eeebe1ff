"""The main job as one fused sweep against one process a run, wall clock, both on all cores.

    python -m benchmarks.sweep [--peers 6]

The peer is the lecture's loop as a script of its own: start Python, import torch, train 3,000 steps
with 20 looks at the whole training and validation splits. As many peers run at once as there are
cores. The sweep is `harness sweep experiment=main`, 360 runs, MLflow and ledger included, into an
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

PEER = """
import torch
from torch.nn.functional import cross_entropy
from benchmarks.lecture_loop import LectureLoop
from harness.config import Data
from harness.data.dataset import load_data
torch.set_num_threads(1)
data = load_data(Data(fraction=0.1))
splits = [(torch.from_numpy(s.x), torch.from_numpy(s.y)) for s in (data.train, data.val)]
loop = LectureLoop(*splits[0])
for _ in range(20):
    loop.run(150)
    with torch.no_grad():
        for x, y in splits:
            h = torch.tanh(loop.c[x].view(len(x), -1) @ loop.w1 + loop.b1)
            cross_entropy(h @ loop.w2 + loop.b2, y).item()
"""


def main() -> None:
    """Print both times, and how many times faster a run of the sweep is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=6, help="processes to time for the peer")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    rounds = []
    for _ in range(max(1, args.peers // cores)):
        start = time.perf_counter()
        peers = [subprocess.Popen([sys.executable, "-c", PEER]) for _ in range(cores)]
        for peer in peers:
            if peer.wait():
                raise SystemExit("a peer failed")
        rounds.append((time.perf_counter() - start) / cores)
    peer = statistics.median(rounds)
    print(f"one process a run: {peer:.2f} s a run on {cores} cores, median of {len(rounds)}")
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
        start = time.perf_counter()
        command = [sys.executable, "-m", "harness", "sweep", "experiment=main", "--quiet"]
        subprocess.run(
            command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        took = time.perf_counter() - start
    print(f"fused sweep:       {took / 360:.3f} s a run ({took:.0f} s for 360, MLflow included)")
    print(f"ratio:             {peer / (took / 360):.1f}")


if __name__ == "__main__":
    main()
