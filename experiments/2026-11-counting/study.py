"""Counting is learning: is the linear net the table of counts, and L2 the added counts?

Axes: C contexts (one symbol each), V symbols.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from experiments.lab import Claim, Lab
from harness import (
    Data,
    Init,
    InitSpec,
    Model,
    Optim,
    Reg,
    RunConfig,
    Tracking,
    Train,
    load_data,
    register,
    train,
)  # fmt: skip
from harness.data.dataset import Split
from harness.numerics.folding import estimate

Array = NDArray[np.float64]

SMALL = ("train.steps=600", "seed=0")
STRENGTHS = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
ADDED = tuple(float(k) for k in np.geomspace(0.003, 100, 28))
NET, LAYER, EQUAL, SHARED = "net", "layer without bias", "equal counts", "counts by frequency"
COLOURS = {EQUAL: "#000000", SHARED: "#999999", LAYER: "#0072B2", NET: "#D55E00"}  # Okabe & Ito


def results(lab: Lab) -> pd.DataFrame:
    """One row a model, strength and split."""
    runs = lab.sweep("experiment=counting").runs
    rows: list[dict[str, Any]] = [
        {"part": "all names", "model": NET, "split": run["seed"], "nll_train": run["nll/train"],
         "nll_val": run["nll/val"], "floor": run["floor/bigram"]}
        for run in runs.to_dict("records")
    ]  # fmt: skip
    splits = range(1 if lab.small else 5)
    for (split, strength), p_CV in _nets(lab, splits).items():
        rows.append(_row(NET, split, strength, p_CV))
    for split in splits:
        counts_CV, share_V = _counts(_data(split).train)
        rows += [_row(LAYER, split, strength, _layer(counts_CV, strength))
                 for strength in STRENGTHS[1:]]  # fmt: skip
        for k in ADDED:
            for model, prior_V in ((EQUAL, np.full(27, 1 / 27)), (SHARED, share_V)):
                p_CV = _added(counts_CV, k, prior_V)
                rows.append(_row(model, split, k, p_CV))
    return pd.DataFrame(rows)


def _data(split: int) -> Any:
    return load_data(Data(block_size=1, fraction=0.02, split_seed=split))


def _nets(lab: Lab, splits: range) -> dict[tuple[int, float], Array]:
    """Linear nets on one-hot inputs, trained on all examples a step: (split, strength) -> p.

    The embedding is the unit matrix and stands still, so the weights are the lecture's table.
    """
    register("one_hot", InitSpec(
        draw=lambda fan_in, fan_out, _gain, rng: rng.standard_normal((fan_in, fan_out)) * 0.01,
        embedding=lambda V, D, _rng: np.eye(V, D), embedding_std=27**-0.5, embedding_kurtosis=23.0,
        summary="rows of the unit matrix for an embedding, small weights",
    ))  # fmt: skip
    runs = [
        RunConfig(
            data=Data(block_size=1, fraction=0.02, split_seed=split),
            model=Model(hidden=(), n_embd=27), init=Init(scheme="one_hot"),
            reg=Reg(name="l2_sum", strength=strength),
            optim=Optim(name="momentum", lr=5.0, momentum=0.9, schedule="constant", embed_lr=1e-9),
            train=Train(steps=3000, batch_size="full", eval_every=3000),
        )
        for split in splits for strength in STRENGTHS
    ]  # fmt: skip
    tracking = None if "tracking=off" in lab.extra else Tracking(experiment=lab.study)
    out = {}
    for record in train(runs, ledger=lab.ledger, tracking=tracking):
        logits = record.module()(torch.arange(27)[:, None]).detach().double()
        key = record.config.data.split_seed, record.config.reg.strength
        out[key] = logits.softmax(-1).numpy()
    return out


def _counts(split: Split) -> tuple[Array, Array]:
    """(C, V) how often each symbol follows each, and (V,) the share of each, 1 added."""
    counts_CV = np.zeros((27, 27))
    np.add.at(counts_CV, (split.x_NT[:, 0], split.y_N), 1.0)
    return counts_CV, (counts_CV.sum(0) + 1) / (split.n + 27)


def _added(counts_CV: Array, k: float, prior_V: Array) -> Array:
    """p of counts with 27 k pseudo-counts a context, spread as the prior says."""
    return (counts_CV + 27 * k * prior_V) / (counts_CV.sum(1, keepdims=True) + 27 * k)


def _layer(counts_CV: Array, strength: float) -> Array:
    """p of the table of weights that minimises mean NLL + strength * sum of squares; no bias.

    Newton's method from 0, context by context, halving a step that does not lower the loss.
    """
    n = counts_CV.sum()
    out = np.empty_like(counts_CV)
    for row_V, p_V in zip(counts_CV, out, strict=True):
        w, total = np.zeros(27), row_V.sum()

        def loss(w: Array, row_V: Array = row_V, total: float = total) -> float:
            nll = total * np.logaddexp.reduce(w) - row_V @ w
            return float(nll / n + strength * w @ w)

        for _ in range(100):
            p = np.exp(w - np.logaddexp.reduce(w))
            slope = (total * p - row_V) / n + 2 * strength * w
            curve = total / n * (np.diag(p) - np.outer(p, p)) + 2 * strength * np.eye(27)
            move, here, step = np.linalg.solve(curve, slope), loss(w), 1.0
            while loss(w - step * move) > here and step > 1e-9:
                step /= 2
            w = w - step * move
            if np.abs(slope).max() < 1e-12:
                break
        p_V[:] = np.exp(w - np.logaddexp.reduce(w))
    return out


def _row(model: str, split: int, strength: float, p_CV: Array) -> dict[str, Any]:
    """What a table of probabilities costs, and the added counts that come nearest to it."""
    data = _data(split)
    (counts_CV, share_V), u_V = _counts(data.train), data.unigram[data.unigram > 0]
    row: dict[str, Any] = {
        "part": "a fiftieth", "model": model, "split": split, "strength": strength,
        "nll_train": _nll(p_CV, data.train), "nll_val": _nll(p_CV, data.val),
        "unigram": float(-(u_V * np.log(u_V)).sum()), "n": data.train.n,
    }  # fmt: skip
    if model in (NET, LAYER):
        for name, prior_V in (("equal", np.full(27, 1 / 27)), ("shared", share_V)):
            row[f"k_{name}"], row[f"kl_{name}"] = _nearest(p_CV, counts_CV, prior_V)
    return row


def _nll(p_CV: Array, split: Split) -> float:
    with np.errstate(divide="ignore"):
        return float(-np.log(p_CV[split.x_NT[:, 0], split.y_N]).mean())


def _nearest(p_CV: Array, counts_CV: Array, prior_V: Array) -> tuple[float, float]:
    """(k, divergence): the added counts whose table is nearest to p, in nats an example.

    Nearest by the Kullback-Leibler divergence of the counts' table from p, over the contexts as
    often as they occur.
    """
    weight_C = counts_CV.sum(1) / counts_CV.sum()

    def apart(log_k: float) -> float:
        q_CV = _added(counts_CV, float(np.exp(log_k)), prior_V)
        return float(weight_C @ (p_CV * np.log(np.maximum(p_CV, 1e-300) / q_CV)).sum(1))

    found = minimize_scalar(apart, bounds=(np.log(1e-6), np.log(1e6)), method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def _best(rows: pd.DataFrame, model: str) -> pd.Series:
    """Per split the lowest validation loss over the strengths, strength 0 aside."""
    mine = rows[rows["model"].eq(model) & rows["strength"].gt(0)]
    return mine.groupby("split")["nll_val"].min()


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each penalty: what net and layer cost, and the added counts that they amount to."""
    small = rows[rows["part"].eq("a fiftieth")]
    out = []
    for strength in STRENGTHS:
        net, layer = (_at(small, model, strength) for model in (NET, LAYER))
        out.append({
            "lambda": f"{strength:g}", "net, val": estimate(net["nll_val"]).words(),
            "no bias, val": estimate(layer["nll_val"]).words(),
            "2 lambda n": f"{(2 * strength * net['n']).mean():.3g}",
            "k, no bias": _mean(layer["k_equal"]), "apart by": _mean(layer["kl_equal"]),
            "k, net": _mean(net["k_equal"]), "apart by ": _mean(net["kl_equal"]),
            "k by frequency, net": _mean(net["k_shared"]), "apart by  ": _mean(net["kl_shared"]),
        })  # fmt: skip
    return pd.DataFrame(out)


def _at(rows: pd.DataFrame, model: str, strength: float) -> pd.DataFrame:
    return rows[rows["model"].eq(model) & rows["strength"].eq(strength)]


def _mean(values: pd.Series) -> str:
    return f"{values.mean():.3g}" if len(values) else "-"


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the rows say to each prediction."""
    whole, small = (rows[rows["part"].eq(part)] for part in ("all names", "a fiftieth"))
    above = whole["nll_train"] - whole["floor"]
    free = _at(small, NET, 0.0).set_index("split")["nll_val"]
    dear = estimate((free - _best(small, EQUAL)).to_numpy())
    apart = estimate((_best(small, NET) - _best(small, EQUAL)).to_numpy())
    own = estimate((_best(small, LAYER) - _best(small, EQUAL)).to_numpy())
    shared = estimate((_best(small, SHARED) - _best(small, EQUAL)).to_numpy())
    weak, strong = (_at(small, LAYER, strength) for strength in (STRENGTHS[1], STRENGTHS[-1]))
    ratios = [(part["k_equal"] / (2 * part["strength"] * part["n"])).mean()
              for part in (weak, strong)]  # fmt: skip
    last = _at(small, NET, STRENGTHS[-1])
    off = last["nll_train"] - last["unigram"]
    nets = small[small["model"].eq(NET) & small["strength"].ge(1e-3)]
    nearer = nets["kl_shared"].lt(nets["kl_equal"])
    return [
        Claim(f"On all names the net ends {above.min():.4f} to {above.max():.4f} nats above raw "
              f"counts, {whole['floor'].iloc[0]:.4f}.", above.min() >= 0 and above.max() < 0.002),
        Claim(f"On a fiftieth the best added counts beat the net without a penalty by "
              f"{dear.words()} nats on validation.", dear.mean is not None and dear.mean > 0.2,
              direction=True),
        Claim(f"Validation at its best, against equal added counts at theirs: the net "
              f"{apart.words()}, the layer without bias {own.words()}, counts added by frequency "
              f"{shared.words()}.", abs(apart.mean or 0) < 0.03 and abs(own.mean or 0) < 0.03),
        Claim(f"Without a bias the k that fits is {ratios[1]:.3g} times 2 lambda n at the "
              f"strongest penalty and {ratios[0]:.3g} times at the weakest.",
              abs(ratios[1] - 1) < 0.1 and ratios[0] > 1.5, direction=True),
        Claim(f"With its bias the net ends {off.min():+.4f} to {off.max():+.4f} nats from the "
              "unigram entropy at the strongest penalty; from .001 on counts by frequency describe "
              f"it better in {nearer.sum()} of {len(nearer)}.",
              off.abs().max() < 0.01 and bool(nearer.all())),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Validation loss over k or 2 lambda n, and the k that matches each penalty."""
    small = rows[rows["part"].eq("a fiftieth") & rows["strength"].gt(0)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    for model, colour in COLOURS.items():
        mine = small[small["model"].eq(model)]
        counted = model in (EQUAL, SHARED)
        x = mine["strength"] if counted else 2 * mine["strength"] * mine["n"]
        mean = mine.assign(x=x).groupby("strength")[["x", "nll_val"]].mean()
        left.plot(mean["x"], mean["nll_val"], color=colour, label=model,
                  ls="--" if counted else "-", marker="" if counted else "o", ms=4)  # fmt: skip
    left.set(xscale="log", xlabel="k, or 2 lambda n", ylabel="nats a character, validation",
             xlim=(0.003, 120))  # fmt: skip
    left.legend(frameon=False, fontsize=9)
    ends = np.array([0.005, 120])
    right.plot(ends, ends, color="grey", ls=":", label="k = 2 lambda n")
    for model in (LAYER, NET):
        mine = small[small["model"].eq(model)]
        right.plot(2 * mine["strength"] * mine["n"], mine["k_equal"], "o", ms=4,
                   color=COLOURS[model], label=model)  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="2 lambda n",
              ylabel="equal added counts that fit best, k")  # fmt: skip
    right.legend(frameon=False, fontsize=9)
    figure.savefig(folder / "figure.svg")
    plt.close(figure)
