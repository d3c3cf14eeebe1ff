"""Mean or sum: does dividing by N matter?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.lab import Claim, Lab
from harness import load_run
from harness.numerics.folding import estimate

SMALL = ("train.steps=300", "seed=0", "model.hidden=[50]")
N, LR, STRENGTH = 32, {"sgd": 0.05, "adam": 0.002}, 30.0
MEAN, SAME, DIVIDED, RESTORED = "mean", "sum, lr", "sum, lr/N", "sum, strength x N"
WAYS = [MEAN, SAME, DIVIDED, RESTORED]
LOSSES = {"cross_entropy": "#0072B2", "mse": "#D55E00"}  # Okabe & Ito
UNITS = {"cross_entropy": "nats", "mse": "squared error"}
TOP = {"cross_entropy": 3.0, "mse": 0.075}  # of the figure: what lies above is counted there
CASES = [("sgd", 0), ("sgd", 1), ("adam", 0), ("adam", 1)]


def results(lab: Lab) -> pd.DataFrame:
    """One row a run, beside the run on the mean of the same loss, optimizer, penalty and seed."""
    runs = lab.sweep("experiment=mean_or_sum").runs
    rows = []
    for run in runs.to_dict("records"):
        optim, strength = run["optim.name"], run["reg.strength"]
        rows.append({
            "loss": run["loss.name"], "optim": optim, "l2": int(strength > 0),
            "way": _way(run), "lr": run["optim.lr"], "strength": strength, "seed": run["seed"],
            "diverged": int(run["verdict"] == "diverged"), "loss_train": run["loss/train"],
            "loss_val": run["loss/val"], "weights_norm": run["weights/norm"],
            "run": run["run_id"],
        })  # fmt: skip
    keys = ["loss", "optim", "l2", "seed"]
    means = {tuple(row[key] for key in keys): row["run"] for row in rows if row["way"] == MEAN}
    for row in rows:
        row["weight_gap"] = _gap(lab, row.pop("run"), means[tuple(row[key] for key in keys)])
    out = pd.DataFrame(rows)
    gone = out["diverged"].eq(1)
    out.loc[gone, ["loss_train", "loss_val", "weights_norm", "weight_gap"]] = np.nan
    order = [*keys[:3], "way", "seed"]
    return out.assign(way=pd.Categorical(out["way"], WAYS)).sort_values(order)


def _way(run: dict[str, Any]) -> str:
    if run["loss.batch_reduction"] == "mean":
        return MEAN
    if run["reg.strength"] > STRENGTH:
        return RESTORED
    return SAME if run["optim.lr"] == LR[run["optim.name"]] else DIVIDED


def _gap(lab: Lab, one: str, other: str) -> float:
    """The largest difference between two networks' weights; 0 where all bits agree."""
    left, right = (load_run(run, ledger=lab.ledger).state_dict() for run in (one, other))
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each way: losses, their paired difference to the mean, the weights."""
    out = []
    for optim, l2 in CASES:
        for loss in LOSSES:
            for way in WAYS:
                part = _part(rows, loss, optim, l2, way)
                if part.empty:
                    continue
                gone, n = int(part["diverged"].sum()), len(part)
                told = estimate(part["loss_val"].to_numpy())
                gap = estimate(_over(rows, loss, optim, l2, way).to_numpy())
                gaps = part["weight_gap"].max()
                out.append({
                    "optimizer": optim + (" + L2" if l2 else ""), "loss": loss, "way": way,
                    "loss/train": "diverges" if gone == n else f"{part['loss_train'].mean():.4f}",
                    "loss/val": f"diverges, {gone} of {n}" if gone else told.words(),
                    "minus mean, paired": "-" if gone or way == MEAN else gap.words(),
                    "weights/norm": "-" if gone == n else f"{part['weights_norm'].mean():.2f}",
                    "largest weight difference": "-" if gone == n else f"{gaps:.2g}",
                })  # fmt: skip
    return pd.DataFrame(out)


def _part(rows: pd.DataFrame, loss: str, optim: str, l2: int, way: str) -> pd.DataFrame:
    mine = rows["loss"].eq(loss) & rows["optim"].eq(optim) & rows["l2"].eq(l2)
    return rows[mine & rows["way"].eq(way)].set_index("seed")


def _over(
    rows: pd.DataFrame, loss: str, optim: str, l2: int, way: str, of: str = "loss_val"
) -> pd.Series:
    """What a way has more of than the mean, seed by seed."""
    return _part(rows, loss, optim, l2, way)[of] - _part(rows, loss, optim, l2, MEAN)[of]


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rows say to each prediction."""

    def bits(l2: int, way: str) -> float:
        return max(_part(rows, loss, "sgd", l2, way)["weight_gap"].max() for loss in LOSSES)

    def over(optim: str, l2: int, way: str, of: str = "loss_val") -> pd.Series:
        return _over(rows, "cross_entropy", optim, l2, way, of)

    squares = _part(rows, "mse", "sgd", 0, SAME)
    dear = over("sgd", 0, SAME)
    weak, larger = over("sgd", 1, DIVIDED, "loss_train"), over("sgd", 1, DIVIDED, "weights_norm")
    adam, gap = over("adam", 0, SAME), _part(rows, "cross_entropy", "adam", 0, SAME)["weight_gap"]
    slow = over("adam", 0, DIVIDED, "loss_train")
    free, grown = over("adam", 1, SAME, "loss_train"), over("adam", 1, SAME, "weights_norm")
    back = over("adam", 1, RESTORED)
    return [
        Claim(f"SGD, sum at lr/{N}: no weight differs by more than {bits(0, DIVIDED):g} from the "
              "mean's, under either loss.", bits(0, DIVIDED) == 0, direction=True),
        Claim(f"SGD, sum at the same lr: squared error diverges in {squares['diverged'].sum()} of "
              f"{len(squares)} seeds, cross-entropy ends {_range(dear)} nats above the mean.",
              squares["diverged"].all() and (dear.isna() | (dear >= 0.3)).all()),
        Claim(f"SGD with L2, sum at lr/{N}: training loss {_range(weak)} nats, weights' norm "
              f"{_range(larger)} against the mean's; with strength x {N} no weight differs by "
              f"more than {bits(1, RESTORED):g}.",
              weak.max() < -0.1 and larger.min() > 0 and bits(1, RESTORED) == 0),
        Claim(f"Adam, sum at the same lr: {_range(adam)} nats of validation, weights by "
              f"{gap.max():.2g}; at lr/{N} training ends {_range(slow)} nats higher.",
              adam.abs().max() < 0.01 and gap.min() > 0 and slow.min() >= 0.1),
        Claim(f"Adam with L2, sum at the same lr: training loss {_range(free)} nats, weights' norm "
              f"{_range(grown)} against the mean's; with strength x {N} {_range(back)} nats of "
              "validation.", free.max() < -0.1 and grown.min() > 0 and back.abs().max() < 0.01),
    ]  # fmt: skip


def _range(values: pd.Series) -> str:
    """The least and the largest over the seeds, signed; of those that did not diverge."""
    return f"{values.min():+.4f} to {values.max():+.4f}" if values.notna().any() else "diverges"


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Training loss of every run, a panel a loss and a case."""
    figure, axes = plt.subplots(
        2, len(CASES), figsize=(10, 6), sharex=True, sharey="row", layout="constrained"
    )
    for row, (loss, colour) in zip(axes, LOSSES.items(), strict=True):
        for axis, (optim, l2) in zip(row, CASES, strict=True):
            for place, way in enumerate(WAYS):
                part = _part(rows, loss, optim, l2, way)
                if part.empty:
                    continue
                value = part["loss_train"].fillna(np.inf)
                above = int(value.gt(TOP[loss]).sum())
                spread = place + 0.06 * (np.arange(len(part)) - (len(part) - 1) / 2)
                axis.plot(spread, value, "o", ms=5, color=colour, alpha=0.8)
                if above:
                    told = "diverge" if part["diverged"].any() else f"above {TOP[loss]:g}"
                    axis.text(place, 0.97, f"{above} of {len(part)}\n{told}", ha="center",
                              va="top", fontsize=8,
                              transform=axis.get_xaxis_transform())  # fmt: skip
            axis.set(xlim=(-0.5, len(WAYS) - 0.5), ylim=(0, TOP[loss]))
            axis.set_title(f"{loss}, {optim}{' + L2' if l2 else ''}", fontsize=10)
            axis.set_xticks(range(len(WAYS)), WAYS, rotation=35, ha="right")
        row[0].set_ylabel(f"training loss ({UNITS[loss]})")
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
