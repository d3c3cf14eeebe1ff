"""Does the lecture's loss log come out again?"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.lab import Claim, Lab
from harness.numerics.folding import estimate

ALONE = "18 runs of 200,000 steps on a word list that is downloaded: minutes"
SMALL = ("data=census", "train.steps=4000", "train.eval_every=4000", "seed=0")
PART5 = (
    "data.block_size=8", "init=kaiming", "init.weight_scale=0.6",
    "init.output_scale=0.16666666666666666", "model.batch_norm=true", "optim.schedule_at=0.75",
)  # fmt: skip
ORIGINAL, SOFTMAX, TANH, KAIMING, NORM, EIGHT = (
    "original", "softmax repaired", "tanh repaired", "Kaiming's scale", "batch norm",
    "part 5: eight letters, batch norm",
)  # fmt: skip
PUBLISHED = {  # training and validation, as the lectures print them
    ORIGINAL: (2.1245, 2.1682), SOFTMAX: (2.07, 2.13), TANH: (2.0356, 2.1027),
    KAIMING: (2.0376, 2.1070), NORM: (2.0668, 2.1048), EIGHT: (1.918, 2.027),
}  # fmt: skip


def results(lab: Lab) -> pd.DataFrame:
    """One row a run."""
    path = os.environ.get("HARNESS_TEST_NAMES")
    names = [f"data.path={path}"] if path and not lab.small else []
    tables = [lab.sweep("experiment=loss_log", *names),
              lab.sweep("experiment=loss_log", *PART5, *names)]  # fmt: skip
    rows = []
    for table in tables:
        for run in table.runs.to_dict("records"):
            z = run.get("init/loss_z", np.nan)
            rows.append({
                "row": _row(run), "seed": run["seed"], "train": run["nll/train"],
                "val": run["nll/val"], "first": run["init/loss_measured"],
                "expected": run["init/loss_expected"], "z": z,
            })  # fmt: skip
    out = pd.DataFrame(rows)
    return out.assign(row=pd.Categorical(out["row"], list(PUBLISHED))).sort_values(["row", "seed"])


def _row(run: dict[str, object]) -> str:
    """Which row of the log a run is."""
    if run["data.block_size"] == 8:
        return EIGHT
    if run["model.batch_norm"]:
        return NORM
    if run["init.scheme"] == "kaiming":
        return KAIMING
    return {1.0: ORIGINAL, 0.01: SOFTMAX, 0.05: TANH}[float(str(run["init.output_scale"]))]


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each row of the log beside what was published."""
    out = []
    for name, (train, val) in PUBLISHED.items():
        mine = rows[rows["row"].eq(name)]
        out.append({
            "row": name, "first loss": f"{mine['first'].mean():.3f}",
            "expected": f"{mine['expected'].mean():.3f}",
            "train, published": f"{train:.4f}", "train": estimate(mine["train"].to_numpy()).words(),
            "val, published": f"{val:.4f}", "val": estimate(mine["val"].to_numpy()).words(),
            "gap": f"{(mine['val'] - mine['train']).mean():.3f}", "seeds": len(mine),
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rows say to each prediction."""
    at = {str(name): part.set_index("seed") for name, part in rows.groupby("row", observed=True)}
    off = {
        (name, split): at[name][split].mean() - PUBLISHED[name][place]
        for name in PUBLISHED for place, split in enumerate(("train", "val"))
    }  # fmt: skip
    log = {key: value for key, value in off.items() if key[0] != EIGHT}
    farthest = max(log, key=lambda key: abs(log[key]))
    softmax, tanh, kaiming, norm = (
        at[right]["val"] - at[left]["val"]
        for left, right in ((ORIGINAL, SOFTMAX), (SOFTMAX, TANH), (TANH, KAIMING), (TANH, NORM))
    )
    gaps = {name: (at[name]["val"] - at[name]["train"]).mean() for name in PUBLISHED}
    z = rows["z"].abs()
    return [
        Claim(f"The farthest of the ten numbers is {farthest[0]}, {farthest[1]}: "
              f"{log[farthest]:+.4f} against the published one.",
              max(abs(value) for value in log.values()) <= 0.01),
        Claim(f"Against the row before, validation moves by {_range(softmax)} with the softmax "
              f"repaired and {_range(tanh)} with the tanh; Kaiming's scale differs from that by "
              f"{_range(kaiming)}, batch norm by {_range(norm)}.",
              softmax.max() <= -0.03 and tanh.max() <= -0.015
              and max(kaiming.abs().max(), norm.abs().max()) <= 0.01),
        Claim(f"Part 5's row is off by {off[EIGHT, 'train']:+.4f} in training and "
              f"{off[EIGHT, 'val']:+.4f} in validation.",
              max(abs(off[EIGHT, split]) for split in ("train", "val")) <= 0.01),
        Claim(f"Of {z.notna().sum()} first losses that have an expected spread the farthest is "
              f"{z.max():.1f} standard deviations off.", z.max() < 4, direction=True),
        Claim("The gap of validation to training is "
              + ", ".join(f"{gap:.3f} ({name})" for name, gap in gaps.items()) + ".",
              gaps[ORIGINAL] < min(gaps[name] for name in (SOFTMAX, TANH, KAIMING, NORM))
              and gaps[EIGHT] > 0.1),
    ]  # fmt: skip


def _range(values: pd.Series) -> str:
    return f"{values.min():+.3f} to {values.max():+.3f}"


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Training and validation of every run beside the published numbers."""
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for place, (name, published) in enumerate(PUBLISHED.items()):
        mine = rows[rows["row"].eq(name)]
        for split, value, colour in zip(("train", "val"), published, ("#0072B2", "#D55E00"),
                                        strict=True):  # fmt: skip
            first = place == 0
            axis.plot([place - 0.25, place + 0.25], [value, value], color="black", lw=1.2,
                      label="published" if first and split == "train" else None)  # fmt: skip
            x = place + 0.08 * (np.arange(len(mine)) - (len(mine) - 1) / 2)
            axis.plot(x, mine[split], "o", ms=6, color=colour, label=split if first else None)
    axis.set_xticks(range(len(PUBLISHED)), [name.replace(": ", ":\n") for name in PUBLISHED],
                    rotation=20, ha="right")  # fmt: skip
    axis.set_ylabel("nats a character at the end")
    axis.legend(frameon=False, fontsize=9)
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
