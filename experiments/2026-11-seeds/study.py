"""How many seeds does a comparison need?"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness.numerics.variance import variance_explained
from harness.render.figures import style

SMALL = ("train.steps=300", "train.eval_every=100", "model.hidden=[50]")
SETTINGS = ["init.weight_scale", "init.bias", "reg.strength"]
METRIC = "best/nll_val"
NAMES = {
    "init.seed": "first weights",
    "train.batch_seed": "batch order",
    "data.split_seed": "split",
}
FEW = 3  # the seeds of the main job


def results(lab: Lab) -> pd.DataFrame:
    """One row a source of spread, one a setting, one a pair of settings: see `kind`."""
    runs = lab.sweep("experiment=seeds").runs
    crossed = runs["data.split_seed"].lt(5)  # all others have the default split
    rows = [*_sources(runs[crossed])]
    by_seed = runs[~crossed].pivot_table(index=SETTINGS, columns="seed", values=METRIC)
    by_seed = by_seed.dropna()
    names = [f"{scale:g} {bias} {strength:g}" for scale, bias, strength in by_seed.index]
    values = by_seed.to_numpy()
    for name, own in zip(names, values, strict=True):
        rows.append({"kind": "setting", "name": name, "n": len(own), "mean": own.mean(),
                     "sd": own.std(ddof=1)})  # fmt: skip
    for i, j in combinations(range(len(names)), 2):
        rows.append({"kind": "pair", "name": f"{names[i]} / {names[j]}", "n": values.shape[1],
                     **_pair(values[i], values[j])})  # fmt: skip
    return pd.DataFrame(rows)


def _sources(runs: pd.DataFrame) -> list[dict[str, object]]:
    """Shares of the spread by what was drawn anew; the split's, and the rest's, sd with it."""
    found = variance_explained(runs, METRIC)
    assert found is not None
    held = runs.groupby("data.split_seed")[METRIC].std().pow(2).mean() ** 0.5
    return [
        {"kind": "source", "name": NAMES.get(one.source, one.source), "n": len(runs),
         "share": one.share, "unbiased": one.unbiased, "sd": found.sd, "sd_split_held": held}
        for one in found.shares
    ]  # fmt: skip


def _pair(left: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Two settings over the same seeds: difference, its spread, how often few seeds are wrong.

    Right is the sign of the mean over the seeds that were not asked.
    """
    off = left - right
    n = len(off)
    both = [left[a] - right[b] for a in range(n) for b in range(n) if a != b]
    return {
        "mean": off.mean(), "sd": off.std(ddof=1),
        "sd_unpaired": float(np.hypot(left.std(ddof=1), right.std(ddof=1))),
        "wrong_1": _wrong(off, 1), "wrong_few": _wrong(off, min(FEW, n - 1)),
        "wrong_unpaired": float(np.mean(np.sign(both) != np.sign(off.mean()))),
        "needed": 7.85 * off.var(ddof=1) / off.mean() ** 2,
    }  # fmt: skip


def _wrong(off: np.ndarray, asked: int) -> float:
    every = list(combinations(range(len(off)), asked))
    rest = [np.delete(off, which).mean() for which in every]
    told = [off[list(which)].mean() for which in every]
    return float(np.mean(np.sign(told) != np.sign(rest)))


def bands(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of settings by the size of their difference."""
    pairs = rows[rows["kind"] == "pair"]
    edges = [0, 0.005, 0.01, 0.02, 0.05, np.inf]
    labels = ["below .005", ".005 to .01", ".01 to .02", ".02 to .05", "above .05"]
    cut = pd.cut(pairs["mean"].abs(), edges, labels=labels, right=False)
    return pairs.groupby(cut, observed=True).agg(
        pairs=("name", "count"), wrong_1=("wrong_1", "mean"), wrong_few=("wrong_few", "mean"),
        wrong_unpaired=("wrong_unpaired", "mean"), needed=("needed", "median"),
    )  # fmt: skip


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """How often the wrong setting is named, by the difference that there is."""
    out = []
    for label, one in bands(rows).iterrows():
        out.append({
            "true difference, nats": label, "pairs of settings": int(one["pairs"]),
            "wrong by one seed each": f"{one['wrong_unpaired']:.1%}",
            "by one shared seed": f"{one['wrong_1']:.1%}",
            "by three": f"{one['wrong_few']:.1%}",
            "seeds needed (median)": f"{np.ceil(one['needed']):.0f}",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    sources = rows[rows["kind"] == "source"].set_index("name")
    share = sources["share"]
    parts = ", ".join(f"{name} {value:.0%}" for name, value in share.items())
    spread = rows.loc[rows["kind"] == "setting", "sd"]
    pairs = rows[rows["kind"] == "pair"]
    ratio = (pairs["sd"] / pairs["sd_unpaired"]).median()
    small, large = pairs["mean"].abs() < 0.01, pairs["mean"].abs() > 0.05
    low, high = pairs.loc[small, "wrong_1"].mean(), pairs.loc[large, "wrong_1"].mean()
    one, three = pairs["wrong_1"].mean(), pairs["wrong_few"].mean()
    close = pairs[pairs["mean"].abs() < 0.02]
    middle = close.iloc[(close["mean"].abs() - close["mean"].abs().median()).abs().argmin()]
    return [
        Claim(f"Spread over {sources['n'].iloc[0]:.0f} runs: sd {sources['sd'].iloc[0]:.4f}, of it "
              f"{parts}; with the split held the sd is {sources['sd_split_held'].iloc[0]:.4f}.",
              share["split"] > 0.7
              and max(share["first weights"], share["batch order"]) < 0.2),
        Claim(f"Over seeds the median setting spreads by {spread.median():.4f} nats (from "
              f"{spread.min():.4f} to {spread.max():.4f}).", 0.005 <= spread.median() <= 0.02),
        Claim(f"A pair that shares its seed spreads {ratio:.2f} times as much as one that does not "
              "(median).", ratio <= 0.8, direction=True),
        Claim(f"Of pairs less than .01 apart one shared seed names the wrong one in {low:.1%} of "
              f"cases, of those more than .05 apart in {high:.1%}.", low > 0.2 and high < 0.02),
        Claim(f"Over all {len(pairs)} pairs one shared seed is wrong in {one:.1%} of cases, three "
              f"in {three:.1%}; one seed each in {pairs['wrong_unpaired'].mean():.1%}.",
              0.05 <= one <= 0.15 and three < one * 2 / 3),
        Claim(f"The median difference below .02 is {abs(middle['mean']):.4f} nats, and takes "
              f"{np.ceil(middle['needed']):.0f} seeds to find in four of five cases.",
              middle["needed"] > FEW),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Left: how often few seeds are wrong, over the difference. Right: where spread comes from."""
    pairs = rows[rows["kind"] == "pair"]
    sources = rows[rows["kind"] == "source"]
    with style.draw():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        shown = (("wrong_1", "one shared seed"), ("wrong_few", "three shared seeds"))
        for (column, label), colour in zip(shown, style.OKABE_ITO, strict=False):
            left.plot(pairs["mean"].abs(), pairs[column], "o", ms=3.5, alpha=0.6, color=colour,
                      label=label)  # fmt: skip
        left.set(xscale="log", xlim=(3e-4, 1), xlabel="difference of the two settings (nats)",
                 ylabel="share of cases that name the wrong one")  # fmt: skip
        left.axhline(0.5, color="grey", ls=":", lw=1)
        left.legend(frameon=False)
        places = np.arange(len(sources))
        right.barh(places, sources["share"], color=style.OKABE_ITO[2])
        right.set_yticks(places, sources["name"])
        right.invert_yaxis()
        right.set_xlabel("share of the spread")
        style.save(figure, folder / "figure.svg")
