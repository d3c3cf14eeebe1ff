"""`harness search` against a grid and a random search of the same cost, and halving's saving.

    python -m benchmarks.search [--repeats 10]     a table, docs/images/search.svg
    python -m benchmarks.search --halving          1,000 configurations, whole and halved

The space is the main job's: loss, learning rate, weight scale, bias start, L2. Each of 60 trials is
one run of 3,000 steps; a repetition has its own seed for sampler, initialization and batches, the
grid the same 60 points in a shuffled order. The best by the calibrated validation NLL is then
trained on five fresh seeds, which is what a person is left with.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import train
from harness.config.run import RunConfig
from harness.records.confirmation import fresh_runs
from harness.records.ledger import Ledger
from harness.records.ranking import CALIBRATED, RAW, measured
from harness.records.record import RunRecord
from harness.records.searches import studies

ROOT = Path(__file__).parents[1]
TRIALS, BATCH, FRESH = 60, 12, 5
BASE = ["data.fraction=0.1", "optim.schedule=constant", "train.steps=3000", "train.eval_every=150"]
SPACE = [
    "loss=cross_entropy,bce,hinge,brier,mse", "optim.lr=tag(log,interval(.01,3))",
    "init.weight_scale=tag(log,interval(.1,3))", "init.bias=zero,normal", "reg=l2",
    "reg.strength=tag(log,interval(.1,100))",
]  # fmt: skip
GRID: Mapping[str, Sequence[object]] = {  # 5 x 3 x 2 x 2, the bias start left at its default
    "loss": ["cross_entropy", "bce", "hinge", "brier", "mse"],
    "optim.lr": [0.02, 0.2, 2], "init.weight_scale": [0.3, 1], "reg.strength": [0.3, 10],
}  # fmt: skip
HALVED = [
    "optim.lr=" + ",".join(f"{x:.4g}" for x in np.geomspace(0.01, 3, 20)),
    "init.weight_scale=" + ",".join(f"{x:.4g}" for x in np.geomspace(0.1, 3, 10)),
    "reg=l2", "reg.strength=0,1,3,10,30",
]  # fmt: skip


def main() -> None:
    """Print one table; write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--halving", action="store_true")
    words = parser.parse_args()
    if words.halving:
        halving()
    else:
        compare(words.repeats)


def compare(repeats: int) -> None:
    """Every kind of search `repeats` times, and its winners on fresh seeds."""
    values: dict[str, list[list[float]]] = {"grid": [], "random": [], "tpe": []}
    fresh: dict[str, list[float]] = {name: [] for name in values}
    with tempfile.TemporaryDirectory() as folder:
        for repeat, name in itertools.product(range(repeats), values):
            found = _grid(folder, repeat) if name == "grid" else _search(folder, name, repeat)
            values[name].append([value for value, _ in found])
            fresh[name].append(_on_fresh_seeds(min(found, key=lambda one: one[0])[1]))
            print(f"{name} {repeat}: {min(values[name][-1]):.4f}, {fresh[name][-1]:.4f} fresh",
                  file=sys.stderr, flush=True)  # fmt: skip
    print(f"{TRIALS} trials, {repeats} repetitions: median (lowest, highest)")
    for name, rows in values.items():
        best = [min(row) for row in rows]
        half = [min(row[: TRIALS // 2]) for row in rows]
        print(f"{name:8} best {_spread(best)}   after half {_spread(half)}   "
              f"on fresh seeds {_spread(fresh[name])}")  # fmt: skip
    for other in ("grid", "random"):
        wins = sum(a < b for a, b in zip(fresh["tpe"], fresh[other], strict=True))
        print(f"tpe better than {other} on fresh seeds: {wins} of {repeats}")
    _draw(values, ROOT / "docs" / "images" / "search.svg")


def _search(folder: str, sampler: str, repeat: int) -> list[tuple[float, RunConfig]]:
    place = Path(folder) / f"{sampler}{repeat}"
    _harness("search", *BASE, *SPACE, f"seed={repeat}", f"search.trials={TRIALS}",
             f"search.batch={BATCH}", f"search.sampler={sampler}", f"search.seed={repeat}",
             f"ledger.dir={place}")  # fmt: skip
    ledger = Ledger(place)
    (study,) = studies(place)
    return [(float(t.value or 0), _record(ledger, t.runs[0]).config) for t in study.told]


def _grid(folder: str, repeat: int) -> list[tuple[float, RunConfig]]:
    place = Path(folder) / f"grid{repeat}"
    axes = [f"{key}={','.join(map(str, values))}" for key, values in GRID.items()]
    _harness("sweep", *BASE, "reg=l2", *axes, f"seed={repeat}", f"ledger.dir={place}")
    ledger = Ledger(place)
    found = [
        (_value(ledger, run_id), _record(ledger, run_id).config) for run_id in ledger.run_ids()
    ]
    order = np.random.default_rng(repeat).permutation(len(found))
    return [found[i] for i in order]


def _value(ledger: Ledger, run_id: str) -> float:
    record = _record(ledger, run_id)
    value = measured({**record.summary, "verdict": record.verdict}, CALIBRATED[0])
    return float("inf") if value is None else value


def _record(ledger: Ledger, run_id: str) -> RunRecord:
    record = ledger.read(run_id, weights=False)
    assert record is not None
    return record


def _on_fresh_seeds(config: RunConfig) -> float:
    records = train(fresh_runs(config, range(1000, 1000 + FRESH)))
    return statistics.mean(record.summary.get(CALIBRATED[0], float("inf")) for record in records)


def halving() -> None:
    """1,000 configurations trained whole, and halved by factor 3 over 4 rungs."""
    with tempfile.TemporaryDirectory() as folder:
        took: dict[str, float] = {}
        best: dict[str, tuple[float, str]] = {}
        steps: dict[str, int] = {}
        for name, more in {"whole": [], "halved": ["halving.factor=3", "halving.rungs=4"]}.items():
            place = Path(folder) / name
            began = time.perf_counter()
            _harness("sweep", *BASE, *HALVED, *more, f"ledger.dir={place}")
            took[name] = time.perf_counter() - began
            ledger = Ledger(place)
            rows = {run_id: _record(ledger, run_id) for run_id in ledger.run_ids()}
            values = {r: _finite(record.summary.get(RAW[0])) for r, record in rows.items()}
            winner = min(values, key=lambda run_id: values[run_id])
            best[name] = values[winner], winner
            manifest = ledger.read_sweep()
            steps[name] = 3000 * len(rows) + sum(manifest.dropped.values())
            if name == "whole":
                every = sorted(values.values())
    saved = 1 - steps["halved"] / steps["whole"]
    regret = best["halved"][0] - best["whole"][0]
    rank = every.index(best["halved"][0]) + 1
    print(f"{len(every)} configurations of 3,000 steps, whole: {took['whole']:.0f} s")
    print(f"halved by 3 over 4 rungs: {took['halved']:.0f} s, {saved:.0%} of the steps saved")
    print(f"its best is number {rank} of all; regret {regret:.4f} nats/char of "
          f"{RAW[0]} {best['whole'][0]:.4f}")  # fmt: skip


def _finite(value: float | None) -> float:
    return float("inf") if value is None else value


def _harness(*words: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "tracking=off", "--quiet"], env=env, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{json.dumps(words)}: {done.stderr}")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4f} ({min(values):.4f}, {max(values):.4f})"


def _draw(values: Mapping[str, list[list[float]]], path: Path) -> None:
    """Best so far over trials: median of the repetitions, and their quartiles."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    kinds: Any = {"grid": ("#009E73", ":"), "random": ("#D55E00", "--"), "tpe": ("#0072B2", "-")}
    for name, rows in values.items():
        so_far = np.minimum.accumulate(np.nan_to_num(np.array(rows), posinf=1e9), axis=1)
        low, middle, high = np.quantile(so_far, [0.25, 0.5, 0.75], axis=0)
        trials = np.arange(1, so_far.shape[1] + 1)
        colour, line = kinds[name]
        axis.plot(trials, middle, line, color=colour, label=name)
        axis.fill_between(trials, low, high, color=colour, alpha=0.2, lw=0)
    axis.set(xlabel="trials", ylabel="best calibrated validation NLL so far, nats/char")
    axis.set_ylim(top=float(np.median([row[4] for row in values["random"]])) + 0.1)
    axis.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
