"""Does a good learning rate carry over to wider nets?"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.lab import Claim, Lab
from harness.numerics.folding import estimate

SMALL = (
    "train.steps=200", "data.fraction=0.2", "model.hidden=[25],[400],[25],[400]",
    "optim.scaling=none,none,mup,mup", "init.output_scale=1", "seed=0",
)  # fmt: skip
ADAM = ("optim=adam", "optim.lr=0.00025,0.0005,0.001,0.002,0.004,0.008,0.016")
CASES = [("sgd", "none"), ("sgd", "mup"), ("adam", "none"), ("adam", "mup")]
NAMES = {"none": "one rate", "mup": "muP"}
KEYS = ["optim", "scaling", "width", "lr"]
COLOURS = ("#56B4E9", "#0072B2", "#E69F00", "#D55E00")  # Okabe & Ito


def results(lab: Lab) -> pd.DataFrame:
    """One row a run: its validation loss at the end, none where it diverged."""
    rows = []
    for settings in ((), ADAM):
        for run in lab.sweep("experiment=wider", *settings).runs.to_dict("records"):
            gone = run["verdict"] == "diverged"
            rows.append({
                "optim": run["optim.name"], "scaling": run["optim.scaling"],
                "width": run["model.hidden"][0], "lr": run["optim.lr"], "seed": run["seed"],
                "diverged": int(gone), "nll_val": np.nan if gone else run["nll/val"],
            })  # fmt: skip
    return pd.DataFrame(rows)


def _means(rows: pd.DataFrame) -> pd.Series:
    """Validation loss by configuration, mean over seeds; nan where any of them diverged."""
    folded = rows.groupby(KEYS).agg(nll=("nll_val", "mean"), diverged=("diverged", "sum"))
    return folded["nll"].mask(folded["diverged"] > 0)


def _best(rows: pd.DataFrame) -> pd.Series:
    """(optim, scaling, width) -> the rate with the lowest mean."""
    means = _means(rows).dropna()
    return means.groupby(level=KEYS[:3]).idxmin().map(lambda key: key[3])


def _nll(rows: pd.DataFrame, case: tuple[str, str], width: int, lr: float) -> pd.Series:
    """Validation loss of one configuration by seed."""
    mine = rows["optim"].eq(case[0]) & rows["scaling"].eq(case[1]) & rows["width"].eq(width)
    return rows[mine & rows["lr"].eq(lr)].set_index("seed")["nll_val"]


def _carried(rows: pd.DataFrame, case: tuple[str, str]) -> tuple[pd.Series, pd.Series]:
    """At the largest width, by seed: loss at its best rate; what the base's best costs more."""
    best, (base, *_, widest) = _best(rows), _base_and_wider(rows)
    own = _nll(rows, case, widest, best[(*case, widest)])
    return own, _nll(rows, case, widest, best[(*case, base)]) - own


def _base_and_wider(rows: pd.DataFrame) -> list[int]:
    """Width 100 and those above, or at a tenth of the size the two that there are."""
    widths = sorted(int(width) for width in rows["width"].unique())
    return [width for width in widths if width >= 100] if 100 in widths else widths


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per optimizer and scaling: the best rate of each width, and what carrying it over costs."""
    best, widths = _best(rows), sorted(rows["width"].unique())
    out = []
    for case in CASES:
        own, cost = _carried(rows, case)
        out.append({
            "optimizer": case[0], "rates": NAMES[case[1]],
            **{f"best at {width}": f"{best[(*case, width)]:g}" for width in widths},
            "validation at the widest": estimate(own.to_numpy()).words(),
            "best rate of 100 there costs": _words(cost),
        })  # fmt: skip
    return pd.DataFrame(out)


def _words(cost: pd.Series) -> str:
    return "diverges" if cost.isna().any() else estimate(cost.to_numpy()).words()


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rows say to each prediction."""
    best = _best(rows)
    narrow, widest = min(rows["width"]), max(rows["width"])

    def falls(optim: str) -> Claim:
        at = [best[optim, "none", width] for width in (narrow, widest)]
        said = (f"{optim} under kaiming: the best rate is {at[0]:g} at width {narrow} and "
                f"{at[1]:g} at {widest}.")  # fmt: skip
        return Claim(said, at[1] <= at[0] / 4, direction=optim == "adam")

    def stays(optim: str) -> Claim:
        at = [best[optim, "mup", width] for width in _base_and_wider(rows)]
        said = (f"{optim} under muP: from width 100 on the best rates are "
                f"{', '.join(f'{lr:g}' for lr in at)}.")  # fmt: skip
        return Claim(said, max(at) <= 2 * min(at))

    own = {case: _carried(rows, case) for case in CASES}
    apart = {optim: own[optim, "mup"][0] - own[optim, "none"][0] for optim in ("sgd", "adam")}
    told = {case: _words(cost) for case, (_, cost) in own.items()}
    dear, cheap = own["sgd", "none"][1], own["sgd", "mup"][1]
    return [
        falls("sgd"), stays("sgd"), falls("adam"), stays("adam"),
        Claim(f"At width {widest}, each at its best rate, muP ends "
              f"{estimate(apart['sgd'].to_numpy()).words()} nats above kaiming by SGD and "
              f"{estimate(apart['adam'].to_numpy()).words()} by Adam. The rate that is best at 100 "
              f"costs there {told['sgd', 'none']} by SGD under kaiming, {told['sgd', 'mup']} "
              f"under muP, and by Adam {told['adam', 'none']} and {told['adam', 'mup']}.",
              max(abs(gap.mean()) for gap in apart.values()) < 0.03
              and (bool(dear.isna().any()) or dear.mean() > 0.05) and cheap.mean() < 0.02),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Validation loss over the rate, a line a width, a panel a case; the best rates marked."""
    figure, axes = plt.subplots(
        2, 2, figsize=(9, 6.5), sharex="row", sharey="row", layout="constrained"
    )
    means, best = _means(rows), _best(rows)
    for axis, case in zip(axes.flat, CASES, strict=True):
        for width, colour in zip(sorted(rows["width"].unique()), COLOURS, strict=False):
            line = means[(*case, width)]
            axis.plot(line.index, line, color=colour, marker=".", label=f"{width}")
            at = best[(*case, width)]
            axis.plot(at, line[at], "o", ms=9, mfc="none", mew=2, color=colour)
        axis.set(title=f"{case[0]}, {NAMES[case[1]]}", xscale="log")
        low = means[case[0]].min()
        axis.set_ylim(low - 0.02, low + 0.5)
    for axis in axes[1]:
        axis.set_xlabel("learning rate")
    for axis in axes[:, 0]:
        axis.set_ylabel("validation, nats a character")
    axes[0, 1].legend(title="width", frameon=False, fontsize=9, loc="upper center")
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
