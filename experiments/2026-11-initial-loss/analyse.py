"""From the newest sweep in this folder's store to results.csv, figure.svg and marks.

python experiments/2026-11-initial-loss/analyse.py [SWEEP]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from harness.analysis.sources import read_sweep
from harness.analysis.table import SweepTable

HERE = Path(__file__).parent
KEYS = ["loss.name", "init.output_bias", "init.weight_scale"]
COLOURS = {"zero": "#0072B2", "normal": "#D55E00", "log_unigram": "#009E73"}  # Okabe & Ito


def results(table: SweepTable) -> pd.DataFrame:
    """One row a configuration: mean and standard deviation over its seeds."""
    runs = table.runs.assign(abs_z=table.runs["init/loss_z"].abs())
    rows = runs.groupby(KEYS, sort=True).agg(
        seeds=("seed", "count"),
        uniform=("init/loss_uniform", "first"),
        expected=("init/loss_expected", "first"),
        measured=("init/loss_measured", "mean"),
        measured_sd=("init/loss_measured", "std"),
        largest_z=("abs_z", "max"),
        logit_std=("init/logit_std", "mean"),
        best_nll_val=("best/nll_val", "mean"),
        nll_val=("nll/val", "mean"),
        nll_val_sd=("nll/val", "std"),
        nll_calibrated_val=("nll_calibrated/val", "mean"),
    )
    return rows.reset_index()


def marks(rows: pd.DataFrame, table: SweepTable) -> list[str]:
    """What the numbers say to each prediction of README.md."""
    z = table.runs["init/loss_z"].dropna().abs()
    at = rows.set_index(KEYS)
    share = (z < 4).mean()
    out = [f"1. |z| < 4 in {share:.1%} of {len(z)} runs with a spread; largest {z.max():.1f}"]
    for loss in rows["loss.name"].unique():
        zero = at.loc[(loss, "zero")]
        ratio = zero["measured"] / zero["uniform"]
        above = ratio[ratio > 1.05]
        first = f"from scale {above.index[0]:g} on" if len(above) else "at no scale"
        out.append(f"2. {loss}: 5 % above uniform {first}; {ratio.iloc[-1]:.3g} x at scale 10")
    losses = rows["loss.name"].unique()
    for bias in COLOURS:
        first = {loss: at.loc[(loss, bias, 0.01), "measured"] for loss in losses}
        shown = ", ".join(f"{loss} {value:.4f}" for loss, value in first.items())
        out.append(f"3. scale 0.01, {bias} bias: {shown}")
    for loss in rows["loss.name"].unique():
        end = at.loc[(loss, "zero")]["nll_calibrated_val"]
        out.append(
            f"4. {loss}, calibrated val NLL at the end: scale 0.3 {end[0.3]:.4f}, "
            f"1 {end[1.0]:.4f}, 10 {end[10.0]:.4f}"
        )
    ce = at.loc["cross_entropy"]["nll_val"]
    out.append(
        f"4. cross_entropy at scale 1, final val NLL: zero {ce['zero', 1.0]:.4f}, "
        f"log_unigram {ce['log_unigram', 1.0]:.4f}"
    )
    return out


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Expected (line) and measured (dots, one standard deviation) over weight scale, per loss."""
    mpl.use("svg")
    import matplotlib.pyplot as plt

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
    figure.savefig(path)


def main() -> None:
    """Read, write, print."""
    table = read_sweep(sys.argv[1] if len(sys.argv) > 1 else "newest")
    rows = results(table)
    rows.to_csv(HERE / "results.csv", index=False, float_format="%.6g")
    draw(rows, HERE / "figure.svg")
    print("\n".join(marks(rows, table)))


if __name__ == "__main__":
    main()
