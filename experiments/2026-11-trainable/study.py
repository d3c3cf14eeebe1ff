"""Where is training possible at all?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness.analysis.effects import Swept
from harness.components.activations import ACTIVATIONS
from harness.render.figures import maps, style

PLACES = ",".join(f"{value:.4g}" for value in np.geomspace(0.01, 100, 128))
FEW = ",".join(f"{value:.4g}" for value in np.geomspace(0.01, 100, 11))
SMALL = (f"init.weight_scale={FEW}", f"optim.lr={FEW}")
# sigma_w where E[(f'(z) sigma_w)^2] = 1 without biases (Poole et al. 2016, arXiv:1606.05340; for
# relu He et al. 2015, arXiv:1502.01852).
CRITICAL = {"tanh": 1.0, "relu": 2**0.5}
LEARNED = 0.1  # nats below the entropy of the letters
METRIC = "nll/train"


def line(activation: str) -> float:
    """Theory's line: the weight scale at which sigma_w is the critical one."""
    return CRITICAL[activation] / ACTIVATIONS.get(activation).gain


def results(lab: Lab) -> pd.DataFrame:
    """One row an activation and weight scale: how many rates learn or diverge, and which."""
    rows = []
    for activation in CRITICAL:
        sweep = lab.sweep(
            "experiment=trainability", f"model.activation={activation}",
            "model.hidden=[16,16,16,16]", "train.steps=100", "train.eval_every=100",
            f"init.weight_scale={PLACES}", f"optim.lr={PLACES}",
        )  # fmt: skip
        lab.kept[activation] = sweep
        runs = sweep.runs
        lost = runs["verdict"].eq("diverged")
        learns = ~lost & (runs[METRIC] < runs["floor/unigram"] - LEARNED)
        runs = runs.assign(lost=lost, learns=learns, rate=runs["optim.lr"].where(learns))
        rows.append(runs.groupby("init.weight_scale").agg(
            rates=("lost", "size"), learns=("learns", "sum"), diverged=("lost", "sum"),
            lowest_rate=("rate", "min"), highest_rate=("rate", "max"), loss=(METRIC, "min"),
            unigram=("floor/unigram", "first"),
        ).reset_index().assign(activation=activation, line=line(activation)))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def nearest(rows: pd.DataFrame, activation: str, scale: float) -> pd.Series:
    """The row of the tried scale nearest to this one."""
    mine = rows[rows["activation"] == activation]
    return mine.loc[np.log(mine["init.weight_scale"] / scale).abs().idxmin()]


def widest(rows: pd.DataFrame, activation: str) -> tuple[float, float]:
    """The lowest and highest scale of those at which most rates learn."""
    mine = rows[rows["activation"] == activation]
    best = mine.loc[mine["learns"] == mine["learns"].max(), "init.weight_scale"]
    return best.min(), best.max()


def slope(rows: pd.DataFrame, activation: str) -> float:
    """By which power of the scale the highest rate that learns changes, above theory's line."""
    mine = rows[rows["activation"].eq(activation) & rows["init.weight_scale"].ge(rows["line"])]
    mine = mine.dropna(subset="highest_rate")
    if len(mine) < 2:
        return float("nan")
    x, y = np.log(mine["init.weight_scale"]), np.log(mine["highest_rate"])
    return float(np.polyfit(x, y, 1)[0])


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per activation how many rates learn along the scale, in multiples of the critical one."""
    out = []
    for activation in CRITICAL:
        mine = rows[rows["activation"] == activation]
        low, high = widest(rows, activation)
        shares = {}
        for times, words in ((0.1, "a tenth"), (1 / 3, "a third"), (1, "the line"),
                             (3, "3 times"), (10, "10 times")):  # fmt: skip
            one = nearest(rows, activation, times * line(activation))
            shares[f"rates that learn at {words}"] = f"{one['learns'] / one['rates']:.0%}"
        out.append({
            "activation": activation, "theory's line at scale": f"{line(activation):.2f}", **shares,
            "most rates learn at": f"{low:.2g} to {high:.2g}" if low < high else f"{low:.2g}",
            "learns, of all": f"{mine['learns'].sum() / mine['rates'].sum():.1%}",
            "diverges": f"{mine['diverged'].sum() / mine['rates'].sum():.1%}",
            "border falls as scale to the power": f"{slope(rows, activation):.1f}",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the maps say to each prediction."""
    below, at, above, best, share = {}, {}, {}, {}, {}
    for name in CRITICAL:
        mine = rows[rows["activation"] == name]
        below[name] = mine.loc[mine["init.weight_scale"] <= line(name) / 3, "learns"].max()
        at[name] = nearest(rows, name, line(name))["learns"]
        above[name] = nearest(rows, name, 10 * line(name))["learns"]
        low, high = widest(rows, name)
        best[name] = float(np.exp((np.log(low) + np.log(high)) / 2) / line(name))
        share[name] = mine["learns"].sum() / mine["rates"].sum()
    falls = {name: slope(rows, name) for name in CRITICAL}
    rates = rows["rates"].iloc[0]
    return [
        Claim(f"At a third of the critical scale or less at most {below['tanh']} of {rates} rates "
              f"learn with tanh ({at['tanh']} on the line), {below['relu']} with relu "
              f"({at['relu']}).", all(below[n] <= at[n] / 10 for n in CRITICAL)),
        Claim(f"Most rates learn at {best['tanh']:.2f} times the critical scale with tanh, at "
              f"{best['relu']:.2f} times with relu.",
              all(0.5 <= value <= 2 for value in best.values())),
        Claim(f"At ten times the critical scale {above['tanh']} of {rates} rates learn with tanh, "
              f"{above['relu']} with relu.", above["tanh"] > 0 and above["relu"] == 0),
        Claim(f"Above the line the highest rate that learns goes as the scale to the power "
              f"{falls['relu']:.1f} with relu, {falls['tanh']:.1f} with tanh.",
              falls["relu"] <= -4 and falls["tanh"] > -2),
        Claim(f"tanh learns on {share['tanh']:.1%} of the plane, relu on {share['relu']:.1%}.",
              share["tanh"] > share["relu"], direction=True),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:
    """The harness's map of each activation, theory's line over it."""
    with style.draw():
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        for axes, activation in zip(figure.subplots(1, 2), CRITICAL, strict=True):
            swept = Swept(lab.kept[activation])
            found = maps.two_axes(swept)
            if found is None:  # too few points for a map
                axes.set_axis_off()
                continue
            x, y = found
            mean, lost = maps.cells(swept, METRIC, x, y, np.ones(len(swept.runs), bool))
            limits = float(np.nanmin(rows["loss"])), float(rows["unigram"].iloc[0])
            axes.grid(visible=False)
            axes.imshow(maps.colours_of(mean, lost, limits), origin="lower", aspect="auto",
                        interpolation="none")  # fmt: skip
            place = np.interp(np.log(line(activation)), np.log(x.values), np.arange(len(x.values)))
            axes.axvline(place, color="white", lw=2.6)
            axes.axvline(place, color="black", lw=1.2, ls=(0, (4, 2)))
            for axis, ticks in ((axes.set_xticks, x), (axes.set_yticks, y)):
                wanted = [0.01, 0.1, 1, 10, 100]
                at = np.interp(np.log(wanted), np.log(ticks.values), np.arange(len(ticks.values)))
                axis(at, [f"{value:g}" for value in wanted])
            axes.set(
                xlabel="weight scale (multiple of the Kaiming std)",
                ylabel="learning rate",
            )
            axes.set_title(activation)
        figure.suptitle(
            "Training loss after 100 steps: bright is low, darkest the letters' entropy or more;\n"
            "orange: diverged; dashed: where theory has signals neither die nor explode",
            fontsize=9,
        )  # fmt: skip
        style.save(figure, folder / "figure.svg")
