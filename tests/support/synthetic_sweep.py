"""Tables of runs that never were: any axes, with numbers whose truth is known by construction."""

import itertools
import math

import numpy as np
import pandas as pd
import torch

from harness.analysis.effects import config_of
from harness.analysis.table import long_curves, make_table
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.initialization import initial_weights
from harness.records.record import RunRecord

STEPS = np.arange(0, 2001, 100)
FLOORS = {
    "floor/unigram": 2.8, "floor/bigram": 2.4, "floor/context": 1.1,
    "floor/unigram_val": 2.81, "floor/bigram_val": 2.45, "floor/context_val": 2.5,
}  # fmt: skip


def metrics_of(flat, rng):
    """Final numbers of one run: best validation 2.3 + .1 ln(scale)^2 + .2 (hinge) + seed noise."""
    scale, strength = flat["init.weight_scale"], flat["reg.strength"]
    hinge = flat["loss.name"] == "hinge"
    noise = 0.001 * rng.standard_normal()
    gap = 0.8 / (1 + strength)
    best = 2.3 + 0.1 * math.log(max(scale, 1e-3)) ** 2 + 0.2 * hinge + 0.05 * gap + noise
    uniform = 26 / 27 if hinge else math.log(27)
    expected = uniform * math.sqrt(1 + scale**2)
    return {
        "best/nll_val": best, "nll_calibrated/val": best, "best/step": 1500.0,
        "nll/val": best + 0.02, "nll/train": best - gap,
        "gap/nll": gap, "loss/train": best - gap, "loss/val": best, "accuracy/val": 0.3,
        "init/loss_uniform": uniform, "init/loss_expected": expected,
        "init/loss_measured": expected * math.exp(0.01 * rng.standard_normal()),
        "init/loss_z": float(rng.uniform(-2, 2)), "penalty": strength * 0.01,
        "weights/norm": 20.0 / (1.0 + strength),
    }  # fmt: skip


def synthetic_table(axes=None, *, change=None, drop=(), curves=True, floors=True, runs=None):
    """A SweepTable over the product of `axes` (key -> values), or over given flat settings `runs`.

    change(row): alters a row of the table in place; drop: metrics that no run has.
    """
    rng = np.random.default_rng(0)
    base = RunConfig().flat()
    axes = axes or {}
    if runs is None:
        runs = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    rows, series = [], {}
    for number, point in enumerate(runs):
        flat = base | point
        if flat["reg.strength"] > 0 and flat["reg.name"] == "none":
            flat["reg.name"] = "l2"
        settings = {k: v for k, v in flat.items() if k != "seed"}
        row = {
            "status": "FINISHED", "name": f"run {number}", "run_id": f"{number:016x}",
            "config_id": f"c{hash(repr(settings)) & 0xFFFFFFFF:x}", "verdict": "fit", "error": None,
        }  # fmt: skip
        row |= flat | metrics_of(flat, rng) | {"warnings": 1}
        for name in drop:
            row.pop(name, None)
        if change:
            change(row)
        rows.append(row)
        if curves and row["status"] == "FINISHED":
            last = row.get("nll/train", math.nan)
            decay = np.exp(-STEPS / 300.0)
            train = last + (row.get("init/loss_measured", 3.3) - last) * decay
            if np.isfinite(last):
                gap = row.get("gap/nll", 0.1) * STEPS / STEPS[-1]
                series[row["run_id"]] = {
                    "nll/train": (STEPS, train),
                    "nll/val": (STEPS, train + gap),
                }
    meta = {
        "sweep_id": "0123456789abcdef", "name": "sweep 01234567", "created": 1_700_000_000.0,
        "overrides": ("loss=cross_entropy,hinge", "seed=0,1"), "experiment": "harness",
        "source": "memory", "environment": {"version": "0.1.0", "torch": "2.13.0"},
        "data": {"sha256": "00" * 32},
    }  # fmt: skip
    if floors:
        meta["floors"] = FLOORS
    table = make_table(rows, list(base), meta, lambda: long_curves(series))
    assert isinstance(table.runs, pd.DataFrame)
    return table


def with_insides(table):
    """The same table, whose runs can be had whole: weights as they start, made-up gradients."""

    def whole(run_id):
        row = table.runs[table.runs["run_id"] == run_id].iloc[0].to_dict()
        config = config_of(row)
        data = load_data(config.data)
        drawn = initial_weights(config.resolved(), data)
        layers = [n.removesuffix(".weight") for n in drawn if n.endswith(".weight")]
        series = {f"grad/std/{n}": (STEPS, 0.01 + 1.0 / (100 + STEPS)) for n in layers}
        series |= {f"grad/update_ratio/{n}": (STEPS, -2.0 - STEPS / 2000) for n in layers}
        weights = {name: torch.from_numpy(array) for name, array in drawn.items()}
        return RunRecord(
            config=config, run_id=run_id, config_id=row["config_id"], series=series, summary={},
            verdict="fit", weights=weights, symbols=data.symbols,
        )  # fmt: skip

    table.load_records = lambda ids: {run_id: whole(run_id) for run_id in ids}
    return table
