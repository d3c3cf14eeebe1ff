"""Negative log-likelihood, cross-entropy, log-likelihood, perplexity: are they one thing?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from experiments.lab import Claim, Lab
from harness import Data, load_data, load_run
from harness.numerics.folding import estimate

SMALL = ("model.hidden=[50]", "seed=0")
SPREAD = "init.weight_scale=1,10,30,100"
KINDS = ["loss.name", "loss.batch_reduction", "loss.label_smoothing", "train.batch_size",
         "optim.lr"]  # fmt: skip
MEAN = ("cross_entropy", "mean", 0.0, 32, 0.1)
OF_30 = ("cross_entropy", "mean", 0.0, 30, 0.1)
SAME_RATE, SMOOTHED = "sum over 32, lr .1", "smoothing .1"
PAIRS = {  # what is set against what
    "nll": (("nll", "mean", 0.0, 32, 0.1), MEAN),
    "sum over 32, lr .1/32": (("cross_entropy", "sum", 0.0, 32, 0.1 / 32), MEAN),
    "sum over 30, lr .1/30": (("cross_entropy", "sum", 0.0, 30, 0.1 / 30), OF_30),
    SAME_RATE: (("cross_entropy", "sum", 0.0, 32, 0.1), MEAN),
    SMOOTHED: (("cross_entropy", "mean", 0.1, 32, 0.1), MEAN),
}
FACTS = {
    "weights": "largest difference of a weight", "loss": "loss/val minus that of mean",
    "nll": "nll/val minus that of mean", "perplexity": "perplexity over exp(nll), less 1",
    "float32": "characters until their product is 0, float32",
    "float64": "characters until their product is 0, float64",
    "characters": "characters of the training split",
    "zeros": "share of targets whose softmax is 0, float32", "kept": "NLL by log-sum-exp",
    "line": "cross_entropy of 27 equal logits",
}  # fmt: skip
SHOWN = ["weights", "nll", "float32", "float64", "zeros", "line"]
COLOURS = {"float64": "#0072B2", "float32": "#D55E00"}  # Okabe & Ito


def results(lab: Lab) -> pd.DataFrame:
    """One row a fact, a setting and a seed."""
    runs = lab.sweep("experiment=one_thing").runs
    rows: list[dict[str, Any]] = []
    for name, (left, right) in PAIRS.items():
        for seed in sorted(set(runs["seed"])):
            one, other = (_run(runs, kind, seed) for kind in (left, right))
            gap = _gap(lab, one["run_id"], other["run_id"])
            rows += [
                {"fact": "weights", "setting": name, "seed": seed, "value": gap},
                *({"fact": fact, "setting": name, "seed": seed,
                   "value": one[f"{fact}/val"] - other[f"{fact}/val"]} for fact in ("loss", "nll")),
            ]  # fmt: skip
    for run in runs.to_dict("records"):
        told = run["perplexity/val"] / np.exp(run["nll/val"]) - 1
        kind = ", ".join(f"{run[key]:.4g}" if isinstance(run[key], float) else str(run[key])
                         for key in KINDS)  # fmt: skip
        rows.append({"fact": "perplexity", "setting": kind, "seed": run["seed"], "value": told})
    trained = runs[(runs[KINDS] == list(MEAN)).all(axis=1)]
    fresh = lab.sweep("experiment=one_thing", SPREAD, "train.steps=0", *_alone(MEAN)).runs
    for run in [*trained.to_dict("records"), *fresh.to_dict("records")]:
        name = "trained" if run["train.steps"] else f"fresh, scale {run['init.weight_scale']:g}"
        lab.kept.setdefault(name, run["run_id"])  # the first seed's
        found = _underflow(lab, run["run_id"]) | {"kept": run["nll/train"]}
        rows += [{"fact": fact, "setting": name, "seed": run["seed"], "value": value}
                 for fact, value in found.items()]  # fmt: skip
    logits = torch.ones(27)
    for name, target in (("27 zeros", torch.zeros(27)), ("an index", torch.tensor(0))):
        value = float(torch.nn.functional.cross_entropy(logits, target)) + 0.0  # -0 is 0
        rows.append({"fact": "line", "setting": name, "seed": 0, "value": value})
    return pd.DataFrame(rows)


def _alone(kind: tuple[Any, ...]) -> list[str]:
    """Settings that leave of the sweep's list one way of training."""
    return [f"{'loss' if key == 'loss.name' else key}={value}"
            for key, value in zip(KINDS, kind, strict=True)]  # fmt: skip


def _run(runs: pd.DataFrame, kind: tuple[Any, ...], seed: int) -> dict[str, Any]:
    mine = runs[(runs[KINDS] == list(kind)).all(axis=1) & (runs["seed"] == seed)]
    (row,) = mine.to_dict("records")
    return row


def _gap(lab: Lab, one: str, other: str) -> float:
    """The largest difference between two networks' weights; 0 where all bits agree."""
    left, right = (load_run(run, ledger=lab.ledger).state_dict() for run in (one, other))
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


@torch.no_grad()
def _underflow(lab: Lab, run: str) -> dict[str, float]:
    """How far a running product of probabilities gets, and how many are 0 by themselves.

    The probabilities of the first training characters stay in lab.kept, by run, for the figure.
    """
    split, net = load_data(Data()).train, load_run(run, ledger=lab.ledger)
    logits = net(torch.from_numpy(split.contexts_CT))[torch.from_numpy(split.context_N)]
    target = torch.from_numpy(split.y_N)[:, None]
    p = logits.softmax(-1).gather(-1, target)[:, 0]
    p64 = logits.double().softmax(-1).gather(-1, target)[:, 0].numpy()
    lab.kept.setdefault("probabilities", {})[run] = p64[:450]
    return {
        "float32": _dies(p64.astype(np.float32)), "float64": _dies(p64),
        "characters": float(split.n), "zeros": float((p == 0).double().mean()),
    }  # fmt: skip


def _dies(p_N: np.ndarray[Any, Any]) -> float:
    """At which character the product of all probabilities up to it is exactly 0, from 1."""
    with np.errstate(under="ignore"):
        return float(np.argmax(np.multiply.accumulate(p_N) == 0) + 1)


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each fact of each setting: its mean over seeds with half its interval, and its range."""
    out = []
    shown = rows[rows["fact"].isin(SHOWN) | rows["setting"].eq(SMOOTHED)]
    for (fact, setting), part in shown.groupby(["fact", "setting"], sort=False):
        told = estimate(part["value"].to_numpy())
        half = "" if told.half is None else f" ± {told.half:.2g}"
        low, high = part["value"].min(), part["value"].max()
        out.append({"what": FACTS[str(fact)], "of": setting, "mean": f"{told.mean:.4g}{half}",
                    "least to most": f"{low:.4g} to {high:.4g}", "seeds": told.n})  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    at = {key: part["value"] for key, part in rows.groupby(["fact", "setting"])}
    named = [one for one in at if one[0] == "perplexity"]
    off = max(float(at[one].abs().max()) for one in named)
    power, thirty = "sum over 32, lr .1/32", "sum over 30, lr .1/30"
    logged = float(at["loss", "nll"].abs().max())
    rounding = at["nll", thirty].abs()
    dear = at["nll", SAME_RATE]
    start, end = at["float32", "fresh, scale 1"], at["float32", "trained"]
    start64, end64 = at["float64", "fresh, scale 1"], at["float64", "trained"]
    zeros = {scale: at["zeros", f"fresh, scale {scale}"] for scale in (1, 10, 30, 100)}
    finite = bool(np.isfinite([at["kept", f"fresh, scale {scale}"] for scale in zeros]).all())
    over, nats = at["loss", SMOOTHED], at["nll", SMOOTHED]
    zero, index = (at["line", name].iloc[0] for name in ("27 zeros", "an index"))
    return [
        Claim(f"The weights under nll and cross-entropy differ by {at['weights', 'nll'].max():g} "
              f"in {len(at['weights', 'nll'])} seeds; the logged losses by {logged:.2g} at most.",
              at["weights", "nll"].max() == 0 and logged < 1e-5, direction=True),
        Claim(f"Sum at lr/32 differs from the mean by {at['weights', power].max():g} in any weight"
              f", sum at lr/30 in batches of 30 by {at['weights', thirty].max():.2g}, which makes "
              f"{rounding.min():.1g} to {rounding.max():.1g} nats on validation.",
              at["weights", power].max() == 0 and rounding.min() > 0 and rounding.max() < 1e-3),
        Claim(f"Sum at the same rate ends {_range(dear)} nats above the mean.",
              bool((dear.isna() | (dear > 0.1)).all())),
        Claim(f"perplexity is exp(nll) to {off:.1g}, in {sum(len(at[one]) for one in named)} runs.",
              off < 1e-12, direction=True),
        Claim(f"The product of probabilities is 0 in float32 at character {_range(start, 0)} of a "
              f"fresh network and {_range(end, 0)} of a trained one; in float64 at "
              f"{_range(start64, 0)} and {_range(end64, 0)}, of "
              f"{at['characters', 'trained'].iloc[0]:.0f}.",
              start.max() <= 33 and start64.max() <= 230 and end.between(30, 70).all()
              and end64.between(250, 450).all()),
        Claim(f"softmax in float32 gives the target exactly 0 for {zeros[100].mean():.1%} of the "
              f"examples at weight scale 100, {zeros[30].mean():.2%} at 30, {zeros[10].mean():.2%} "
              f"at 10, {zeros[1].mean():.2%} at 1; log-sum-exp stays finite: {finite}.",
              finite and zeros[100].min() > 0.5 and zeros[30].mean() > 0
              and zeros[10].max() == zeros[1].max() == 0, direction=True),
        Claim(f"The smoothed loss ends {_range(over)} above the plain one, the NLL of its network "
              f"{_range(nats)}.", over.min() >= 0.3 and nats.abs().max() < 0.05),
        Claim(f"cross_entropy(torch.ones(27), torch.zeros(27)) is {zero:g}; of an index "
              f"{index:.4f}.", zero == 0, direction=True),
    ]  # fmt: skip


def _range(values: pd.Series, digits: int = 3) -> str:
    return f"{values.min():.{digits}f} to {values.max():.{digits}f}"


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """The running product of probabilities, as it is multiplied and as its logarithm is summed."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, name in zip(axes, ("fresh, scale 1", "trained"), strict=True):
        p = lab.kept["probabilities"][lab.kept[name]]
        at = np.arange(1, len(p) + 1)
        axis.plot(at, np.log10(p).cumsum(), color="grey", ls=":", label="sum of logarithms")
        for kind, colour in COLOURS.items():
            with np.errstate(under="ignore", divide="ignore"):
                log10 = np.log10(np.multiply.accumulate(p.astype(kind)).astype(float))
            alive = np.isfinite(log10)
            last = int(at[alive][-1])
            axis.plot(at[alive], log10[alive], color=colour, lw=2.5, label=f"product, {kind}")
            axis.annotate(f"0 from character {last + 1}", (last, log10[alive][-1]), color=colour,
                          xytext=(-6, -12) if last > 100 else (8, 2), fontsize=9,
                          textcoords="offset points", ha="right" if last > 100 else "left",
                          )  # fmt: skip
        axis.set(title=f"{name.partition(',')[0]} network", xlabel="characters multiplied",
                 xlim=(0, 450))  # fmt: skip
    axes[0].set_ylabel("log10 of the likelihood so far")
    axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
