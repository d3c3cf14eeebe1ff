"""Which layers should be scaled, how much does depth ask for it, and the embeddings too?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness import RunRecord
from harness.numerics.folding import estimate
from harness.render.figures import style

SMALL = ("train.steps=200", "train.eval_every=100", "seed=0")
KEYS = ["init.scope", "init.weight_scale", "depth", "init.embed_scale", "optim.embed_lr"]
SCOPES = ["linear", "hidden", "output", "embedding", "all"]
WORDS = {"linear": "hidden and output", "all": "everything", "hidden": "hidden",
         "output": "output", "embedding": "embedding"}  # fmt: skip
WRONG = "not what the config says"


def results(lab: Lab) -> pd.DataFrame:
    """One row a configuration: its start, how gradients flow, its end and the paired difference."""
    sweep = lab.sweep("experiment=layers")
    told = pd.DataFrame([_start(record) for record in lab.records(sweep).values()])
    runs = sweep.runs.merge(told, on="run_id")
    plain = runs[runs["init.weight_scale"].eq(1) & runs["init.embed_scale"].eq(1)]
    same = plain.set_index(["depth", "seed"])["best/nll_val"]
    rows = []
    for key, part in runs.groupby(KEYS, sort=True):
        base = same.reindex(list(zip(part["depth"], part["seed"], strict=True))).to_numpy()
        worse = estimate(part["best/nll_val"].to_numpy() - base)
        rows.append({
            **dict(zip(KEYS, key, strict=True)), "seeds": len(part),
            "uniform": part["init/loss_uniform"].iloc[0],
            "expected": part["init/loss_expected"].iloc[0],
            "measured": part["init/loss_measured"].mean(),
            "measured_sd": part["init/loss_measured"].std(),
            "first": " ".join(f"{value:.6f}" for value in part["init/loss_measured"]),
            "wrong": part["start"].eq(WRONG).sum(), "saturated": part["saturated"].mean(),
            "flow": part["flow"].mean(), "best": part["best/nll_val"].mean(),
            "best_sd": part["best/nll_val"].std(), "worse": worse.mean, "worse_half": worse.half,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _start(record: RunRecord) -> dict[str, object]:
    """Of one run: depth; mean share of saturated units; the first layer's gradient beside the last.

    flow: log10 of the gradient's spread in the first layer over that in the output, at step 0.
    """
    layers = [name for name in record.summary if name.startswith("init/saturated/")]
    first, last = (record.series[f"grad/std/{layer}"][1][0] for layer in ("hidden.0", "output"))
    return {
        "run_id": record.run_id, "depth": len(record.config.model.hidden),
        "saturated": float(np.mean([record.summary[name] for name in layers])),
        "flow": float(np.log10(max(first, 1e-30) / last)),
    }  # fmt: skip


def at(rows: pd.DataFrame, scope: str, scale: float, depth: int) -> pd.Series:
    """The row of weights so scaled, the embedding at its own size."""
    plain = rows["init.embed_scale"].eq(1) & rows["depth"].eq(depth)
    here = rows["init.weight_scale"].eq(scale) & rows["init.scope"].eq("linear" if scale == 1
                                                                       else scope)  # fmt: skip
    (row,) = (one for _, one in rows[plain & here].iterrows())
    return row


def embedded(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose embedding is scaled: c, whether its first layer and its rate go against it."""
    part = rows[rows["init.embed_scale"].ne(1)].copy()
    part["same_start"] = part["init.scope"].eq("hidden")
    part["own_rate"] = part["optim.embed_lr"].ne(0.1)
    return part.set_index(["init.embed_scale", "same_start", "own_rate"]).sort_index()


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Start, saturation, gradient and end by scope and scale, for one and for eight layers."""
    out = []
    cases = [("linear", 1.0), *((scope, scale) for scope in SCOPES for scale in (0.3, 3.0))]
    for scope, scale in cases:
        line = {"scaled": WORDS[scope] if scale != 1 else "nothing", "by": f"{scale:g}"}
        for depth in (1, 8):
            row = at(rows, scope, scale, depth)
            line |= {
                f"depth {depth}: first loss": f"{row['measured']:.3f}",
                f"saturated, {depth}": f"{row['saturated']:.0%}",
                f"best validation, {depth}": f"{row['best']:.3f}",
                f"worse than 1, {depth}": _difference(row) if scale != 1 else "",
            }
        out.append(line)
    for (c, same, own), row in embedded(rows).iterrows():
        line = {"scaled": "embedding" + (", first layer against it" if same else "")
                + (", own rate" if own else ""), "by": f"{c:g}",
                "depth 1: first loss": f"{row['measured']:.3f}",
                "saturated, 1": f"{row['saturated']:.0%}", "best validation, 1":
                f"{row['best']:.3f}", "worse than 1, 1": _difference(row)}  # fmt: skip
        out.append({**dict.fromkeys(out[0], ""), **line})
    return pd.DataFrame(out)


def _difference(row: pd.Series) -> str:
    half = "" if np.isnan(row["worse_half"]) else f" ± {row['worse_half']:.3f}"
    return f"{row['worse']:+.3f}{half}"


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    depths = sorted(rows["depth"].unique())
    one = at(rows, "linear", 1, 1)["measured"]
    loud = {scope: at(rows, scope, 3, 1)["measured"] / one - 1 for scope in ("output", "hidden")}
    wrong, seeds = rows["wrong"].sum(), rows["seeds"].sum()
    full = [at(rows, "hidden", 3, depth)["saturated"] for depth in depths]
    still = [at(rows, "output", 3, d)["saturated"] - at(rows, "linear", 1, d)["saturated"]
             for d in depths]  # fmt: skip
    deep, shallow = (at(rows, "hidden", 0.3, depth) for depth in (8, 1))
    big, plain = at(rows, "hidden", 3, 8), at(rows, "linear", 1, 8)
    times = 10 ** (big["flow"] - plain["flow"])
    apart = max(_apart(at(rows, "embedding", g, 1)["first"], at(rows, "hidden", g, 1)["first"])
                for g in (0.3, 3))  # fmt: skip
    scaled = embedded(rows)
    equal, own = ({c: scaled.loc[(c, True, rate), "worse"] for c in (0.1, 3.0)}
                  for rate in (False, True))  # fmt: skip
    gain = -scaled["worse"].min()
    return [
        Claim(f"With one hidden layer three times the output weights cost {loud['output']:.1%} at "
              f"the start, three times the hidden weights {loud['hidden']:.1%}; {wrong:.0f} of "
              f"{seeds:.0f} starts lie beyond theory's limit.",
              loud["output"] > 0.3 and loud["hidden"] < 0.15 and wrong == 0),
        Claim(f"Three times the hidden weights saturate {min(full):.0%} to {max(full):.0%} of the "
              f"units; three times the output weights change that by {max(map(abs, still)):.0%}.",
              min(full) > 0.4 and max(map(abs, still)) == 0, direction=True),
        Claim(f"Eight hidden layers at .3 start at {deep['measured']:.3f} and end "
              f"{deep['worse']:+.3f} from scale 1; one ends {shallow['worse']:+.3f} from it.",
              abs(deep["measured"] - deep["uniform"]) < 0.01 and deep["worse"] > 0.3
              and shallow["worse"] < 0.05),
        Claim(f"Eight hidden layers at 3: the first layer's gradient, beside the output's, is "
              f"{times:.1f} times what it is at scale 1; the end {big['worse']:+.3f}.",
              times > 10 and big["worse"] > 0.1),
        Claim(f"Embedding or hidden weights scaled by the same factor: first losses of one seed "
              f"differ by {apart:.6f} at most.", apart < 1e-5, direction=True),
        Claim(f"Same start, equal rates: c = .1 ends {equal[0.1]:+.3f} from c = 1, c = 3 "
              f"{equal[3.0]:+.3f}; with a rate c^2 times as high {own[0.1]:+.3f} and "
              f"{own[3.0]:+.3f}.",
              min(map(abs, equal.values())) > 0.02
              and all(abs(own[c]) < abs(equal[c]) / 2 for c in equal)),
        Claim(f"The best scaled embedding beats c = 1 by {gain:+.3f}.", gain <= 0.01),
    ]  # fmt: skip


def _apart(left: object, right: object) -> float:
    """The largest difference of two rows' `first`; that of a single seed is read as a number."""
    pairs = zip(str(left).split(), str(right).split(), strict=True)
    return max(abs(float(a) - float(b)) for a, b in pairs)


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """First loss, saturation and best validation over depth: a line a scope, one dash a scale."""
    depths = sorted(rows["depth"].unique())
    shown = (("measured", "first loss (nats)"), ("saturated", "share of units saturated"),
             ("best", "best validation (nats)"))  # fmt: skip
    with style.draw():
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        for axes, (column, label) in zip(figure.subplots(1, 3), shown, strict=True):
            for scope, colour in zip(SCOPES, style.OKABE_ITO, strict=False):
                for scale, dash in ((0.3, (0, (4, 2))), (3.0, "-")):
                    values = [at(rows, scope, scale, depth)[column] for depth in depths]
                    named = WORDS[scope] if scale == 3 else None
                    axes.plot(depths, values, color=colour, ls=dash, marker="o", ms=3, label=named)
            values = [at(rows, "linear", 1, depth)[column] for depth in depths]
            axes.plot(depths, values, color="black", lw=2.2, label="nothing scaled")
            axes.set_xscale("log", base=2)
            axes.set_xticks(depths, [str(depth) for depth in depths])
            axes.set(xlabel="hidden layers", title=label)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        figure.suptitle("Weights scaled by 3 (solid) and .3 (dashed), by the layers that are")
        style.save(figure, folder / "figure.svg")
