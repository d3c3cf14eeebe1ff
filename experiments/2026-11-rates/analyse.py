"""From the newest sweep in this folder's ledger to results.csv and the rate that suits each loss.

python experiments/2026-11-rates/analyse.py [SWEEP]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from harness.analysis.sources import read_sweep

HERE = Path(__file__).parent
KEYS = ["loss.name", "optim.lr", "init.weight_scale"]
METRIC = "nll_calibrated/val"


def results(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration: how many seeds diverged, mean and standard deviation of the rest."""
    ended = runs["verdict"].eq("diverged")
    values = runs.assign(diverged=ended, value=runs[METRIC].mask(ended))
    rows = values.groupby(KEYS, sort=True).agg(
        seeds=("seed", "count"),
        diverged=("diverged", "sum"),
        nll_calibrated_val=("value", "mean"),
        nll_calibrated_val_sd=("value", "std"),
    )
    return rows.reset_index()


def best(rows: pd.DataFrame) -> pd.DataFrame:
    """Per loss the rate with the lowest mean over scales, of those at which no run diverged."""
    folded = rows.groupby(["loss.name", "optim.lr"]).agg(
        diverged=("diverged", "sum"), nll_calibrated_val=("nll_calibrated_val", "mean")
    )
    safe = folded[folded["diverged"] == 0]
    return safe.loc[safe.groupby("loss.name")["nll_calibrated_val"].idxmin()].reset_index()


def main() -> None:
    table = read_sweep(sys.argv[1] if len(sys.argv) > 1 else "newest")
    rows = results(table.runs)
    rows.to_csv(HERE / "results.csv", index=False, float_format="%.5f")
    at = rows[rows["optim.lr"] == 0.1].groupby("loss.name")["diverged"].sum()
    for row in best(rows).itertuples(index=False):
        loss, rate, _, value = row
        print(f"{loss}: rate {rate:g}, {METRIC} {value:.4f} over all scales; "
              f"at .1 {at[loss]} of 9 runs diverge")  # fmt: skip


if __name__ == "__main__":
    main()
