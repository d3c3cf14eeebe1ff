"""Four points: is 7.8178 a good loss to start from, and what does training make of it?

Axes: N draws of a network, B points, I fan-in, O fan-out.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.lab import Claim, Lab
from harness import LossSpec, RunConfig, RunRecord, Tracking, load_data, register, run_config, train
from harness.analysis.lookup import find_record
from harness.analysis.places import places
from harness.engine.initialization import initial_weights
from harness.numerics.folding import estimate
from harness.render.figures.boundary import plot_boundary

SMALL = ("seed=0,1,2,3",)
NOTES, DEMO = 7.8178, 0.01098  # the first loss of the notes; the demo's at its step 99
TANH = "squared error behind tanh"
NAMES = {
    "tanh_squared_error": TANH, "squared_error": "squared error",
    "binary_cross_entropy": "binary cross-entropy", "max_margin": "max margin",
}  # fmt: skip
COLOURS = dict(zip(NAMES.values(), ("#D55E00", "#E69F00", "#0072B2", "#009E73"), strict=True))


def results(lab: Lab) -> pd.DataFrame:
    """One row a run; of the draws, a row a statistic and one a bar of the histogram."""
    table = lab.sweep("experiment=four_points")
    runs, curves = table.runs.to_dict("records"), table.curves
    tanh = _behind_tanh(lab, RunConfig(**_groups(lab, runs[0]["run_id"])), len(runs) // 3)
    rows = _draws(find_record(runs[0]["run_id"], places(lab.ledger)).config, lab)
    kept = lab.kept["curves"] = {}
    for run in runs:
        mine = curves[curves["run_id"].eq(run["run_id"]) & curves["name"].eq("loss/train")]
        steps, values = mine["step"].to_numpy(), 4 * mine["value"].to_numpy()
        kept[NAMES[run["loss.name"]], run["seed"]] = steps, values
        told = {"loss": NAMES[run["loss.name"]], "seed": run["seed"]}
        record = find_record(run["run_id"], places(lab.ledger))
        rows.append(_row("points", told, steps, values, _right(record)))
    for record in tanh:
        steps, values = record.series["loss/train"]
        told = {"loss": TANH, "seed": record.config.seed}
        kept[TANH, record.config.seed] = steps, 4 * values
        rows.append(_row("points", told, steps, 4 * values, _right(record)))
    file = Path(__file__).with_name("moons.csv")
    clean = ("data=points", f"data.path={file}", "data.split=[1,0,0]", "loss=max_margin")
    for data, settings in (("moons", ()), ("moons, noise .1", clean)):
        moons = lab.sweep("experiment=moons_demo", *settings).runs
        lab.kept[data] = moons
        for run in moons.to_dict("records"):
            record = find_record(run["run_id"], places(lab.ledger))
            rows.append({
                "part": data, "loss": NAMES[run["loss.name"]], "seed": run["seed"],
                "end": _at_99(record), "accuracy": _right(record),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _groups(lab: Lab, run: str) -> dict[str, Any]:
    config = find_record(run, places(lab.ledger)).config
    return {entry.name: getattr(config, entry.name) for entry in dataclasses.fields(config)}


def _behind_tanh(lab: Lab, like: RunConfig, seeds: int) -> list[Any]:
    """The notes' own network, whose last unit has a tanh too: here it stands in the loss."""

    def value(
        logits_KB1: Tensor, target_KB: Tensor, smoothing_K: Tensor | None = None,  # noqa: ARG001
        summed: bool = False,  # noqa: ARG001
    ) -> Tensor:  # fmt: skip
        return (logits_KB1.squeeze(-1).tanh() - target_KB.to(logits_KB1.dtype)).square()

    register("tanh_squared_error", LossSpec(
        value=value, kind="binary", log_probabilities=False, summary="(tanh(z) - y)^2",
    ))  # fmt: skip
    plain = like.nested()
    plain["loss"] = {"name": "tanh_squared_error", "batch_reduction": "sum"}
    runs = [run_config({**plain, "seed": seed}) for seed in range(seeds)]
    tracking = None if "tracking=off" in lab.extra else Tracking(experiment=lab.study)
    return train(runs, ledger=lab.ledger, tracking=tracking)


def _draws(config: RunConfig, lab: Lab) -> list[dict[str, Any]]:
    """The first loss of 10,000 networks: statistics, and a histogram."""
    n, data = (1000 if lab.small else 10_000), load_data(config.data)
    drawn = [initial_weights(dataclasses.replace(config, seed=seed).resolved(), data)
             for seed in range(n)]  # fmt: skip
    layer_NBI: NDArray[np.float64] = np.broadcast_to(data.train.x, (n, *data.train.x.shape))
    for name in ("hidden.0", "hidden.1", "output"):
        weight_NIO = np.stack([one[f"{name}.weight"] for one in drawn])
        bias_NO = np.stack([one[f"{name}.bias"] for one in drawn])
        layer_NBI = np.tanh(layer_NBI @ weight_NIO + bias_NO[:, None])
    loss_N = ((layer_NBI[..., 0] - data.train.y) ** 2).sum(1)
    told = {
        "draws": n, "mean": loss_N.mean(), "median": np.median(loss_N),
        "share at the notes' or above": (loss_N >= NOTES).mean(), "least": loss_N.min(),
        "largest": loss_N.max(),
    }  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"part": "draws", "what": what, "end": float(value)} for what, value in told.items()
    ]
    bars, edges = np.histogram(loss_N, bins=64, range=(0, 16))
    rows += [{"part": "histogram", "what": f"{edge:g}", "end": int(bar)}
             for edge, bar in zip(edges, bars, strict=False)]  # fmt: skip
    return rows


def _row(
    part: str, told: dict[str, Any], steps: NDArray[np.int64], values: NDArray[np.float64],
    accuracy: float,
) -> dict[str, Any]:  # fmt: skip
    """A run's first and last sum over the points, and where it was first below .001."""
    below = steps[values < 1e-3]
    return {
        "part": part, **told, "start": values[0], "end": values[-1], "accuracy": accuracy,
        "step_below": below[0] if len(below) else np.nan,
    }  # fmt: skip


def _right(record: RunRecord) -> float:
    """The share of the training points that the trained network puts on their side."""
    points = load_data(record.config.data).train
    said = record.module()(torch.from_numpy(points.x)).detach()[:, 0].numpy()
    return float((np.sign(said) == points.y).mean())


def _at_99(record: RunRecord) -> float:
    """The demo's total loss at its step 99: data loss and penalty after 99 updates, else nan."""
    parts = [dict(zip(*(part.tolist() for part in record.series[name]), strict=True))
             for name in ("loss/train", "penalty")]  # fmt: skip
    return float(sum(part.get(99, np.nan) for part in parts))


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per data and loss: first and last loss, when it was small, how many are right."""
    out = []
    for (part, loss), mine in rows[rows["loss"].notna()].groupby(["part", "loss"], sort=False):
        ends, reached = mine["end"], mine["step_below"].dropna()
        out.append({
            "data": "four points" if part == "points" else part, "loss": loss,
            "first, median": f"{mine['start'].median():.3f}" if part == "points" else "-",
            "last, median": f"{ends.median():.3g}",
            "least to largest": f"{ends.min():.3g} to {ends.max():.3g}",
            "below .001": f"{len(reached)} of {len(mine)}" if part == "points" else "-",
            "from step, median": f"{reached.median():.0f}" if len(reached) else "-",
            "all right": f"{mine['accuracy'].eq(1).sum()} of {len(mine)}",
            "accuracy": estimate(mine["accuracy"].to_numpy()).words(),
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rows say to each prediction."""
    draws = rows[rows["part"].eq("draws")].set_index("what")["end"]
    points, moons = (rows[rows["part"].eq(part)].set_index("loss") for part in ("points", "moons"))
    share = draws["share at the notes' or above"]
    reached = points.loc[TANH, "step_below"]
    plain = points.loc["squared error", "step_below"]
    margin, entropy = (points.loc[name, "end"] for name in ("max margin", "binary cross-entropy"))
    right = points["accuracy"].eq(1)
    ends, hits = moons.loc["max margin", "end"], moons.loc["max margin", "accuracy"].eq(1)
    clean = rows[rows["part"].eq("moons, noise .1")]
    return [
        Claim(f"Over {draws['draws']:.0f} draws the first sum of squared errors is "
              f"{draws['mean']:.2f} in the mean, {draws['median']:.2f} in the median; {share:.1%} "
              f"start at {NOTES} or above.",
              abs(draws["mean"] - 5.5) < 0.1 and abs(draws["median"] - 5.6) < 0.1
              and 0.06 < share < 0.085, direction=True),
        Claim(f"Behind a tanh, squared error falls below .001 in {reached.notna().sum()} of "
              f"{len(reached)} draws.", reached.notna().mean() >= 0.95),
        Claim(f"It gets there at step {reached.median():.0f} in the median, without the tanh on "
              f"the output at {plain.median():.0f}.", plain.median() < reached.median()),
        Claim(f"Max margin ends at exactly 0 in {margin.eq(0).sum()} of {len(margin)} draws, "
              f"binary cross-entropy at {entropy.min():.2g} to {entropy.max():.2g}; all four "
              f"points are right in {right.sum()} of {len(right)} runs.",
              margin.eq(0).all() and entropy.between(1e-4, 1e-2).all() and right.all()),
        Claim(f"On the moons {hits.sum()} of {len(hits)} draws are 100 % right, their total loss "
              f"at step 99 {ends.min():.3g} to {ends.max():.3g}, against {DEMO} published.",
              hits.mean() >= 0.5 and ends.min() < DEMO < ends.max()),
        Claim("Asked after that: on moons with the demo's noise of .1, "
              f"{clean['accuracy'].eq(1).sum()} of {len(clean)} draws are 100 % right, their total "
              f"loss {clean['end'].min():.3g} to {clean['end'].max():.3g}.",
              clean["accuracy"].eq(1).mean() >= 0.5
              and clean["end"].min() < DEMO < clean["end"].max()),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:
    """Where 7.8178 stands, how the losses fall, and three boundaries on the moons."""
    bars = rows[rows["part"].eq("histogram")]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    left.bar(bars["what"].astype(float), bars["end"], width=0.25, align="edge", color="#56B4E9")
    for x, text in ((NOTES, f"{NOTES}: the notes"), (4, "4: all 0"), (8, "8: one side")):
        left.axvline(x, color="black" if x == NOTES else "grey", ls="-" if x == NOTES else ":")
        left.annotate(text, (x, 0.97 if x == NOTES else 0.88), rotation=90, va="top",
                      ha="right" if x == NOTES else "left", fontsize=9,
                      xycoords=left.get_xaxis_transform())  # fmt: skip
    left.set(xlabel="first sum of squared errors", ylabel="networks of all drawn")
    for name, colour in COLOURS.items():
        found = [values for (loss, _), values in lab.kept["curves"].items() if loss == name]
        middle = np.median([values for _, values in found], axis=0)
        right.plot(found[0][0], np.maximum(middle, 1e-8), color=colour, lw=2, label=name)
    right.axhline(1e-3, color="grey", ls=":")
    right.set(
        yscale="log", ylim=(1e-7, 20), xlabel="step", ylabel="sum over the points, median draw"
    )
    right.legend(frameon=False, fontsize=9, loc="upper right")
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
    ends = rows[rows["part"].eq("moons, noise .1")].sort_values("end")
    runs = lab.kept["moons, noise .1"].set_index("seed")
    chosen = [ends.iloc[place] for place in (0, len(ends) // 2, -1)]
    ids = [runs.loc[one["seed"], "run_id"] for one in chosen]
    records = [find_record(run, places(lab.ledger)) for run in ids]
    named = zip(("least", "median", "largest"), chosen, strict=True)
    titles = [f"{name}, {one['end']:.3g}: {one['accuracy']:.0%} right" for name, one in named]
    plot_boundary(records, titles=titles).savefig(folder / "boundaries.svg")
