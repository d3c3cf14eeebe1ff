"""The engine beside its peers and the core's limits, on one thread of this process.

    python -m benchmarks.engine [--rounds 15] [--write]

All take turns for so many rounds; ratios are taken within a round, and the median is quoted. With
--write the tables go to docs/benchmarks.md and the figure to docs/images/benchmarks.svg.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import torch

import harness
from benchmarks import peers
from harness import system
from harness.config.groups import Data, Engine, Model, Optim, Reg, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.chunk import BACKENDS, Chunk
from harness.engine.device import one_thread
from harness.engine.initialization import layer_sizes

ROOT = Path(__file__).parents[1]
DATA = Data(name="surnames", fraction=0.3)  # some 180,000 examples, as the lecture's
LAYERS = [(30, 200), (200, 27)]
FLOPS = 3 * sum(2 * peers.BATCH * i * o for i, o in LAYERS)  # of a step's products
K = 32
SECONDS = 0.08  # a turn
VARIANTS: Mapping[str, dict[str, Any]] = {
    "batch norm": {"model": Model(batch_norm=True)},
    "Adam": {"optim": Optim(name="adam", lr=0.001)},
    "dropout": {"reg": Reg(name="dropout", strength=0.1)},
    "GELU": {"model": Model(activation="gelu")},
    "hidden [200,200,200]": {"model": Model(hidden=(200, 200, 200))},
    "hidden [1000]": {"model": Model(hidden=(1000,))},
    "hidden [16]": {"model": Model(hidden=(16,))},
}


@dataclass
class Turn:
    """One thing that is timed: call(n) does n times `work`."""

    name: str
    call: Callable[[int], object]
    work: float
    count: int = 1
    rates: list[float] = field(default_factory=list)

    def take(self) -> None:
        """One turn of about SECONDS."""
        start = time.perf_counter()
        self.call(self.count)
        took = time.perf_counter() - start
        self.rates.append(self.count * self.work / took)

    def settle(self) -> None:
        """Warm up, and find how often fits a turn."""
        self.call(self.count)
        while True:
            start = time.perf_counter()
            self.call(self.count)
            took = time.perf_counter() - start
            if took > SECONDS / 2:
                return
            self.count *= 2


def main() -> None:
    """Print the tables; with --write write page and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--alone", type=float, help=argparse.SUPPRESS)  # one of two processes
    words = parser.parse_args()
    if words.alone:
        with one_thread():
            print(_alone(words.alone))
        return
    with one_thread():
        lines = [
            *_lecture(words.rounds),
            "",
            *_variants(words.rounds),
            "",
            *_evaluation(words.rounds),
        ]
    lines += ["", *_whole(words.rounds)]
    page = "\n".join(lines)
    print(page)
    if words.write:
        (ROOT / "docs" / "benchmarks.md").write_text(f"{_head(words.rounds)}\n{page}\n")


def _head(rounds: int) -> str:
    kernel = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if "model name" in line),
        platform.processor(),
    )
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return (
        "# Benchmarks\n\nWritten by `make bench`; nothing here is typed by hand. One thread, "
        f"float32; medians of {rounds} rounds in which all take turns, ratios within a round "
        f"(lowest to highest).\n\n{kernel}, {system.cores()} cores; {versions}, harness "
        f"{harness.__version__}.\n\n![](images/benchmarks.svg)\n"
    )


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _run(**parts: Any) -> RunConfig:
    return RunConfig(data=DATA, **{"train": Train(steps=10**6), **parts})


def _engine(runs: Sequence[RunConfig], kernel: str) -> Callable[[int], None]:
    """advance(n): n steps of a chunk of these runs."""
    given = [replace(run, seed=k % 4, engine=Engine(kernel=kernel)) for k, run in enumerate(runs)]
    chunk = Chunk(given, load_data(DATA))

    def advance(steps: int) -> None:
        stop = chunk.step + steps
        while chunk.step < stop:
            until = min(stop, chunk.step + chunk.backend.stretch(chunk.step))
            chunk.backend.train(chunk.step, until, range(chunk.K))
            chunk.step = until

    return advance


def _repeated(call: Callable[[], object]) -> Callable[[int], None]:
    def advance(n: int) -> None:
        for _ in range(n):
            call()

    return advance


def _rounds(turns: Sequence[Turn], rounds: int) -> None:
    for turn in turns:
        turn.settle()
    for _ in range(rounds):
        for turn in turns:
            turn.take()


def _lecture(rounds: int) -> list[str]:
    data = load_data(DATA)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    ours = [Turn(f"harness, K = {n}, {kernel}", _engine([_run()] * n, kernel), n)
            for kernel in BACKENDS for n in (1, K)]  # fmt: skip
    others = [
        Turn(
            f"{p.name}, K = {p.runs}", p.advance, p.runs, getattr(p, "INNER", 1)
        )  # whole stretches
        for p in (*peers.singles(x, y), *peers.stacked(x, y, K))
    ]
    limits = [
        Turn(f"products by torch.bmm, K = {K}", _repeated(peers.products(K, LAYERS)), K),
        Turn("fused multiply-adds", peers.fused_multiply_adds(), 2 * 12 * 16 / FLOPS, 10**5),
    ]
    turns = [*ours, *others, *limits]
    _rounds(turns, rounds)
    loop = others[0]
    title = "## The lecture network: run-steps a second"
    rows = [(t.name, f"{_median(t.rates):,.0f}", _ratio(t, loop)) for t in turns]
    _draw({t.name: _median(t.rates) for t in turns}, ROOT / "docs" / "images" / "benchmarks.svg")
    best = (
        next(t for t in ours if t.name.endswith(f"K = {K}, native"))
        if len(BACKENDS) > 1
        else ours[-1]
    )
    told = [f"harness at K = {K}, as a multiple of: " + "; ".join(
        f"{t.name} {_ratio(best, t)}" for t in (*others, *limits))]  # fmt: skip
    return [title, "", *_table(("", "run-steps/s", f"x {loop.name}"), rows), "", *told]


def _variants(rounds: int) -> list[str]:
    rows = []
    for name, parts in VARIANTS.items():
        run = _run(**parts)
        sizes = [(i, o) for _, i, o in layer_sizes(run, load_data(DATA))]
        turns = [Turn(kernel, _engine([run] * K, kernel), K) for kernel in BACKENDS]
        turns.append(Turn("products", _repeated(peers.products(K, sizes)), K))
        _rounds(turns, rounds)
        by = {t.name: t for t in turns}
        rows.append((name, f"{_median(by['native'].rates):,.0f}", _ratio(by["native"], by["torch"]),
                     _ratio(by["native"], by["products"])))  # fmt: skip
    head = (f"K = {K}", "run-steps/s", "x the torch form", "x its products by torch.bmm")
    return ["## Variants of it", "", *_table(head, rows)]


def _evaluation(rounds: int) -> list[str]:
    """A look at the whole training and validation splits against its forward products alone."""
    chunk = Chunk([replace(_run(), engine=Engine(kernel="native"))], load_data(DATA))
    C = chunk.evaluator.set.C
    x, w1, w2 = torch.randn(C, 30), torch.randn(30, 200), torch.randn(200, 27)
    h, z = torch.empty(C, 200), torch.empty(C, 27)

    def forward() -> None:
        torch.mm(x, w1, out=h)
        torch.mm(h, w2, out=z)

    turns = [Turn("an evaluation", _repeated(lambda: chunk.evaluator.evaluate([0])), 1),
             Turn("its forward products by torch.mm", _repeated(forward), 1)]  # fmt: skip
    _rounds(turns, rounds)
    rows = [(t.name, f"{1e3 / _median(t.rates):.2f}") for t in turns]
    told = (
        f"An evaluation takes {_ratio(turns[1], turns[0])} x its products: every metric of both "
        "splits and the calibrated NLL included."
    )
    return [
        f"## An evaluation: {C:,} distinct contexts of training and validation", "",
        *_table(("", "ms"), rows), "",
        told,
    ]  # fmt: skip


def _alone(seconds: float) -> float:
    advance, steps = _engine([_run()] * K, "native"), 0
    advance(64)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        advance(64)
        steps += 64 * K
    return steps / (time.perf_counter() - start)


def _whole(rounds: int) -> list[str]:
    """Two processes against one; `harness train` of the default run, from start to end."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "benchmarks.engine", "--alone", "2"]
    gains = []
    for _ in range(max(3, rounds // 4)):
        rates = []
        for many in (1, 2):
            running = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True, cwd=ROOT)
                       for _ in range(many)]  # fmt: skip
            rates.append(sum(float(one.communicate()[0]) for one in running))
        gains.append(rates[1] / rates[0])
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(4):
            start = time.perf_counter()
            command = [sys.executable, "-m", "harness", "train", f"seed={seed}", "--quiet"]
            subprocess.run(command, env=env, cwd=folder, check=True, capture_output=True)
            took.append(time.perf_counter() - start)
    return [
        "## Whole commands", "",
        f"- two processes at once: {_spread(gains)} x one",
        f"- `harness train`, the default run with MLflow, warm: {_spread(took[1:])} s",
    ]  # fmt: skip


def _ratio(a: Turn, b: Turn) -> str:
    return _spread([x / y for x, y in zip(a.rates, b.rates, strict=True)])


def _spread(values: Sequence[float]) -> str:
    return f"{_median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    ruled = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ruled, *rows)]


def _draw(rates: Mapping[str, float], path: Path) -> None:
    """Bars of run-steps a second."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    names = list(rates)[::-1]
    ours = ["#0072B2" if name.startswith("harness") else "#999999" for name in names]
    axis.barh(names, [rates[name] for name in names], color=ours)
    axis.set_xlabel("run-steps a second, one thread")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
