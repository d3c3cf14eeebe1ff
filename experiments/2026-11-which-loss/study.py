"""Which loss for characters?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness.numerics.folding import estimate
from harness.render.figures import style

SMALL = ("train.steps=400", "train.eval_every=200", "model.hidden=[50]", "seed=0,1")
LOSSES = ("cross_entropy", "nll", "bce", "squentropy", "brier", "hinge", "crammer_singer", "mse")
FRESH = range(100, 108)  # seeds that chose no rate
METRIC = "nll_calibrated/val"
BASE = "cross_entropy"


def results(lab: Lab) -> pd.DataFrame:
    """One row a loss and rate; what the fresh seeds gave in the row of the chosen rate."""
    runs = lab.sweep("experiment=which_loss").runs
    ended = runs["verdict"].eq("diverged")
    rows = runs.assign(lost=ended, value=runs[METRIC].mask(ended)).groupby(
        ["loss.name", "optim.lr"], sort=True).agg(
        seeds=("seed", "count"), diverged=("lost", "sum"), chosen_by=("value", "mean"),
        chosen_by_sd=("value", "std"),
    ).reset_index()  # fmt: skip
    safe = rows[rows["diverged"] == 0]
    best = safe.loc[safe.groupby("loss.name")["chosen_by"].idxmin()].set_index("loss.name")
    rates = ",".join(f"{best.loc[loss, 'optim.lr']:g}" for loss in LOSSES)
    fresh = lab.sweep(
        "experiment=which_loss", f"loss={','.join(LOSSES)}", f"optim.lr={rates}",
        f"seed={','.join(map(str, FRESH))}", "--zip", "loss,optim.lr",
    ).runs  # fmt: skip
    own = {name: part.set_index("seed") for name, part in fresh.groupby("loss.name")}
    out = []
    for loss, part in own.items():
        off = estimate((part[METRIC] - own[BASE][METRIC]).to_numpy())
        ece = estimate((part["ece/val"] - own[BASE]["ece/val"]).to_numpy())
        out.append({
            "loss.name": loss, "optim.lr": best.loc[loss, "optim.lr"], "fresh": len(part),
            "value": part[METRIC].mean(), "value_sd": part[METRIC].std(),
            "off": off.mean, "off_half": off.half,
            "accuracy": part["accuracy/val"].mean(), "ece": part["ece/val"].mean(),
            "ece_off": ece.mean, "ece_off_half": ece.half,
            "temperature": part["calibration/temperature"].mean(),
        })  # fmt: skip
    return rows.merge(pd.DataFrame(out), on=["loss.name", "optim.lr"], how="left")


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """The row of each loss's own rate, best loss first."""
    return rows[rows["fresh"].notna()].sort_values("value").set_index("loss.name")


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per loss its rate and what it reaches there on fresh seeds."""
    out = []
    for loss, one in chosen(rows).iterrows():
        off = "" if loss == BASE else f"{one['off']:+.4f} ± {one['off_half']:.4f}"
        out.append({
            "loss": loss, "rate": f"{one['optim.lr']:g}",
            "calibrated, fresh seeds ± sd": f"{one['value']:.4f} ± {one['value_sd']:.4f}",
            "to cross-entropy, paired (95 %)": off, "accuracy": f"{one['accuracy']:.4f}",
            "calibration error": f"{one['ece']:.4f}", "T": f"{one['temperature']:.2f}",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    best = chosen(rows)
    off, rate, accuracy = best["off"], best["optim.lr"], best["accuracy"]
    grid = rows.pivot_table(index="optim.lr", columns="loss.name", values="chosen_by")
    same = (grid["nll"] - grid[BASE]).abs().max()
    first = off.drop([BASE, "nll"]).idxmin()
    order = ["squentropy", "brier", "hinge", "mse"]
    apart = off["crammer_singer"] - off["hinge"]
    squent = best.loc["squentropy"]
    sd = squent["value_sd"] / best.loc[BASE, "value_sd"]
    ece = squent["ece"] / best.loc[BASE, "ece"]
    return [
        Claim(f"Over all rates NLL and cross-entropy differ by {same:g}.", same == 0,
              direction=True),
        Claim(f"Of the others {first} comes first, {off[first]:+.4f} ± "
              f"{best.loc[first, 'off_half']:.4f} from cross-entropy; bce is at {off['bce']:+.4f}.",
              off.min() > -0.01 and off["bce"] < 0.02),
        Claim(f"{', '.join(f'{name} {off[name]:+.4f}' for name in order)}; Crammer-Singer lies "
              f"{apart:+.4f} from Weston-Watkins.",
              off["squentropy"] < 0.03 and bool(np.all(np.diff(off[order]) > 0)) and apart > 0.02),
        Claim(f"Rates: {', '.join(f'{name} {rate[name]:g}' for name in LOSSES)}.",
              max(rate["mse"], rate["brier"]) < rate[BASE]
              <= min(rate["hinge"], rate["crammer_singer"])),
        Claim(f"Accuracy: Brier {accuracy['brier']:.4f}, cross-entropy {accuracy[BASE]:.4f}.",
              accuracy["brier"] >= accuracy[BASE] and off["brier"] > 0),
        Claim(f"Squentropy's calibration error is {ece:.2f} times cross-entropy's, its spread over "
              f"seeds {sd:.2f} times.", ece >= 0.8 and sd >= 0.8),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Left: the rates. Right: each loss's difference to cross-entropy on fresh seeds."""
    colours = dict(zip(LOSSES[:1] + LOSSES[2:], [*style.OKABE_ITO, "black"], strict=True))
    best = chosen(rows).drop("nll")
    with style.draw():
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        for loss, colour in colours.items():
            one = rows[rows["loss.name"] == loss].dropna(subset="chosen_by")
            left.plot(one["optim.lr"], one["chosen_by"], color=colour, marker="o", ms=3)
        left.set(xscale="log", xlabel="learning rate", ylabel="calibrated loss (nats)",
                 ylim=(best["value"].min() - 0.05, best["value"].min() + 0.75))  # fmt: skip
        left.set_title("a colour a loss, as at the right", fontsize=8)
        places = np.arange(len(best))
        right.errorbar(best["off"], places, xerr=best["off_half"], fmt="none", ecolor="black")
        right.scatter(best["off"], places, c=[colours[loss] for loss in best.index], zorder=3)
        right.set_yticks(places, [f"{loss}, {rate:g}" for loss, rate in best["optim.lr"].items()])
        right.invert_yaxis()
        right.axvline(0, color="grey", lw=1)
        right.set_xlabel("difference to cross-entropy (nats, 95 %)")
        style.save(figure, folder / "figure.svg")
