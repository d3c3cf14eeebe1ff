"""What sets the first loss, and what does a bad one cost?"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from experiments.lab import Claim, Lab

SMALL = ("train.steps=100", "init.weight_scale=0.01,1,10", "seed=0")
KEYS = ["loss.name", "init.output_bias", "init.weight_scale"]
COLOURS = {"zero": "#0072B2", "normal": "#D55E00", "log_unigram": "#009E73"}  # Okabe & Ito


def results(lab: Lab) -> pd.DataFrame:
    """One row a configuration: mean and standard deviation over its seeds."""
    runs = lab.sweep("experiment=initial_loss").runs
    z = runs["init/loss_z"].abs()
    rows = runs.assign(abs_z=z, beyond=z.ge(4)).groupby(KEYS, sort=True).agg(
        seeds=("seed", "count"),
        uniform=("init/loss_uniform", "first"),
        expected=("init/loss_expected", "first"),
        measured=("init/loss_measured", "mean"),
        measured_sd=("init/loss_measured", "std"),
        largest_z=("abs_z", "max"),
        beyond_4=("beyond", "sum"),
        logit_std=("init/logit_std", "mean"),
        diverged=("verdict", lambda verdict: (verdict == "diverged").sum()),
        best_nll_val=("best/nll_val", "mean"),
        nll_val=("nll/val", "mean"),
        nll_val_sd=("nll/val", "std"),
        nll_calibrated_val=("nll_calibrated/val", "mean"),
    )  # fmt: skip
    return rows.reset_index()


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per loss: where its start bends, what scale 10 costs at the start and at the end."""
    at = rows.set_index(KEYS)
    out = []
    for loss in rows["loss.name"].unique():
        zero = at.loc[(loss, "zero")]
        ratio = zero["measured"] / zero["uniform"]
        above = ratio[ratio > 1.05]
        low = {bias: at.loc[(loss, bias, 0.01), "measured"] for bias in COLOURS}
        out.append({
            "loss": loss, "equal logits": zero["uniform"].iloc[0],
            **{f"start, scale .01, {bias}": value for bias, value in low.items()},
            "5 % above from scale": f"{above.index[0]:g}" if len(above) else "-",
            "start at scale 10": f"{ratio[10.0]:.4g} x", "end, scale 10 minus 1": cost(at, loss),
        })  # fmt: skip
    return pd.DataFrame(out)


def cost(at: pd.DataFrame, loss: str) -> str:
    """What scale 10 costs against scale 1 at the end, calibrated NLL; "diverges" where it does."""
    end = at.loc[(loss, "zero")]
    if end["diverged"][10.0]:
        return "diverges"
    return f"{end['nll_calibrated_val'][10.0] - end['nll_calibrated_val'][1.0]:+.3f}"


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    at = rows.set_index(KEYS)
    runs, beyond = rows["seeds"].sum(), rows["beyond_4"].sum()
    shown = table(rows).set_index("loss")
    bends = shown["5 % above from scale"]
    low = at["measured"].xs(0.01, level=2)
    bias = {loss: low[loss, "log_unigram"] - low[loss, "zero"] for loss in shown.index}
    good = [loss for loss, change in bias.items() if change < 0]
    head = at.loc[("cross_entropy", "log_unigram", 1.0), "nll_val"]
    ends = head - at.loc[("cross_entropy", "zero", 1.0), "nll_val"]
    costs = {loss: cost(at, loss) for loss in shown.index}
    dear = [loss for loss, told in costs.items() if told == "diverges" or float(told) >= 0.2]
    return [
        Claim(f"{beyond} of {runs} runs lie beyond 4 standard deviations; the farthest at "
              f"{rows['largest_z'].max():.1f}.", beyond <= 0.01 * runs, direction=True),
        Claim(f"Scale 10 costs cross-entropy {shown.loc['cross_entropy', 'start at scale 10']} the "
              f"uniform loss, raw squared error {shown.loc['mse', 'start at scale 10']}, Brier "
              f"{shown.loc['brier', 'start at scale 10']}; raw squared error exceeds its uniform "
              f"loss by 5 % from scale {bends['mse']}, cross-entropy from "
              f"{bends['cross_entropy']}, the hinge from {bends['hinge']}.",
              bends["cross_entropy"] == bends["hinge"] == "1"
              and shown.loc["brier", "start at scale 10"] < "2"),
        Claim(f"With the weights out of the way a log_unigram bias starts {', '.join(good)} below "
              f"its zero bias; for the hinge {low['hinge', 'log_unigram']:.3f} against "
              f"{low['hinge', 'zero']:.3f}, which was predicted to be a bad start, since ranking "
              f"symbols by frequency is what that loss asks.", "hinge" not in good),
        Claim(f"Scale 10 is not forgiven by {', '.join(dear)} (0.2 nats or divergence); predicted "
              "of all.", len(dear) == len(costs)),
        Claim(f"The head start of log_unigram is gone at the end: {ends:+.3f} nats.",
              abs(ends) < 0.02),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Expected (line) and measured (dots, one standard deviation) over weight scale, per loss."""
    losses = list(rows["loss.name"].unique())
    figure, axes = plt.subplots(2, 3, figsize=(10, 6), sharex=True, layout="constrained")
    for axis, loss in zip(axes.flat, losses, strict=True):
        part = rows[rows["loss.name"] == loss]
        for bias, colour in COLOURS.items():
            one = part[part["init.output_bias"] == bias]
            axis.plot(one["init.weight_scale"], one["expected"], color=colour, lw=1.2)
            axis.errorbar(
                one["init.weight_scale"], one["measured"], one["measured_sd"], fmt="o", ms=4,
                color=colour, label=f"{bias} output bias",
            )  # fmt: skip
        axis.axhline(part["uniform"].iloc[0], color="grey", ls=":", lw=1)
        axis.set(title=loss, xscale="log", yscale="log")
    for axis in axes[1]:
        axis.set_xlabel("weight scale (multiple of the Kaiming std)")
    for axis in axes[:, 0]:
        axis.set_ylabel("initial loss (own units)")
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure.suptitle(
        "Initial loss: expected (lines), measured (dots, 5 seeds), equal logits (dotted)"
    )
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
