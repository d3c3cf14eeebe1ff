"""Which learning rate suits which loss?"""

from __future__ import annotations

import pandas as pd

from experiments.lab import Claim, Lab

SMALL = ("train.steps=300", "optim.lr=0.02,0.1,1", "init.weight_scale=1,3", "seed=0")
KEYS = ["loss.name", "optim.lr", "init.weight_scale"]
METRIC = "nll_calibrated/val"


def results(lab: Lab) -> pd.DataFrame:
    """One row a configuration: how many seeds diverged, mean and standard deviation of the rest."""
    runs = lab.sweep("experiment=rates").runs
    ended = runs["verdict"].eq("diverged")
    values = runs.assign(diverged=ended, value=runs[METRIC].mask(ended))
    rows = values.groupby(KEYS, sort=True).agg(
        seeds=("seed", "count"), diverged=("diverged", "sum"), nll_calibrated_val=("value", "mean"),
        nll_calibrated_val_sd=("value", "std"),
    )  # fmt: skip
    return rows.reset_index()


def best(rows: pd.DataFrame) -> pd.DataFrame:
    """Per loss the rate with the lowest mean over scales, of those at which no run diverged."""
    folded = rows.groupby(["loss.name", "optim.lr"], as_index=False).agg(
        diverged=("diverged", "sum"), value=("nll_calibrated_val", "mean")
    )
    safe = folded[folded["diverged"] == 0]
    return safe.loc[safe.groupby("loss.name")["value"].idxmin()].set_index("loss.name")


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per loss its rate, what it reaches there at each scale, and what becomes of it at .1."""
    out = []
    for loss, one in best(rows).iterrows():
        mine = rows[rows["loss.name"] == loss]
        there = mine[mine["optim.lr"] == one["optim.lr"]]["nll_calibrated_val"]
        at = mine[mine["optim.lr"] == 0.1]
        out.append({
            "loss": loss, "rate": one["optim.lr"], "mean over scales": one["value"],
            "by weight scale": ", ".join(f"{value:.3f}" for value in there),
            "at rate .1": ", ".join(f"{value:.3f}" for value in at["nll_calibrated_val"].dropna()),
            "diverged at .1": f"{at['diverged'].sum()} of {at['seeds'].sum()}",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rates say to each prediction."""
    rate = best(rows)["optim.lr"]
    both = rate["cross_entropy"], rate["bce"]
    lost = rows[rows["loss.name"].eq("brier")].groupby("optim.lr")["nll_calibrated_val"].mean()
    more = lost[0.1] - lost[rate["brier"]]
    return [
        Claim(f"Cross-entropy trains best at {both[0]:g}, bce at {both[1]:g}.", both[0] == both[1]),
        Claim(f"Raw squared error wants {rate['mse']:g}, cross-entropy {both[0]:g}.",
              rate["mse"] < both[0], direction=True),
        Claim(f"The hinge wants {rate['hinge']:g}.", rate["hinge"] > both[0], direction=True),
        Claim("Predicted of nobody: that Brier is content with cross-entropy's rate. It wants "
              f"{rate['brier']:g}; at .1 no run of it diverges, and it ends {more:.2f} nats worse.",
              rate["brier"] == both[0]),
    ]  # fmt: skip
