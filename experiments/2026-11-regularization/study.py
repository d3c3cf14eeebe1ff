"""What does regularization buy?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness.numerics.folding import estimate
from harness.records.confirmation import fresh_seeds
from harness.render.figures import style

SMALL = ("train.steps=1000", "train.eval_every=500", "model.hidden=[20]", "seed=0,1")
KINDS = ("none", "l2", "l1", "weight_decay", "dropout", "smoothing")
COLOURS = dict(zip(KINDS, ("black", *style.OKABE_ITO), strict=False))
DATA = (0.05, 0.2, 0.5, 1.0)  # other shares of the names, without a regularizer
SEARCHED = 0.03  # the strongest weight decay that is searched; what is above is for the limit
FRESH = 8
NOTHING = 1e-6  # a norm of weights that are gone
BASE = "experiment=regularization"


def results(lab: Lab) -> pd.DataFrame:
    """One row a kind and strength, and a share of the data: see `part`."""
    sweep = lab.sweep(BASE)
    runs = _kinds(sweep.runs)
    rows = []
    for (kind, strength), own in runs.groupby(["kind", "strength"]):
        searched = kind != "weight_decay" or strength <= SEARCHED
        for scope, part in own.groupby("reg.scope"):
            name = "limit, all" if scope == "all" else "search" if searched else "limit"
            rows.append(_row(name, kind, strength, part))
    found = pd.DataFrame(rows)
    search = found[found["part"] == "search"]
    best = search.loc[search.groupby("kind")["best"].idxmin()].set_index("kind")
    seeds = fresh_seeds(sorted(set(runs["seed"])), FRESH)
    settings = [*_chosen(best["strength"]), "reg.scope=weights", f"seed={_listed(seeds)}"]
    fresh = _kinds(lab.sweep(BASE, *settings).runs)
    own = {(kind, share): part.set_index("seed") for (kind, share), part
           in fresh.groupby(["kind", "data.fraction"])}  # fmt: skip
    plain = own["none", 0.1]
    assert all(part.index.is_unique for part in own.values()), "one run a seed"
    rows += [
        _row("fresh", kind, best.loc[kind, "strength"], own[kind, 0.1], plain)
        | {"chosen_by": best.loc[kind, "best"]}
        for kind in KINDS
    ]
    rows += [_row("data", "none", share, own["none", share], plain) for share in DATA]
    winner = lab.confirm(sweep, top=1, seeds=FRESH)
    (told,) = {(one["reg.name"], one["reg.strength"]) for one in
               winner.rows(["reg.name", "reg.strength"])}  # fmt: skip
    rows.append(_row("confirmed", told[0], told[1], winner.runs))
    return pd.DataFrame(rows)


def _kinds(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with their kind of regularizer and its strength; label smoothing is one."""
    smooth = runs["loss.label_smoothing"].astype(float)
    return runs.assign(
        kind=runs["reg.name"].where(smooth == 0, "smoothing"),
        strength=runs["reg.strength"].astype(float).where(smooth == 0, smooth),
    )


def _chosen(strength: pd.Series) -> list[str]:
    """Settings of each kind at its strength, and of the other shares of the data, as one axis."""
    regs = ["none" if kind == "smoothing" else kind for kind in KINDS]
    sizes = [0 if kind in ("none", "smoothing") else strength[kind] for kind in KINDS]
    smooth = [strength[kind] if kind == "smoothing" else 0 for kind in KINDS]
    more = len(DATA)
    return [
        f"reg={_listed([*regs, *['none'] * more])}",
        f"reg.strength={_listed([*sizes, *[0] * more])}",
        f"loss.label_smoothing={_listed([*smooth, *[0] * more])}",
        f"data.fraction={_listed([*[0.1] * len(KINDS), *DATA])}",
        "--zip", "reg,reg.strength,loss.label_smoothing,data.fraction",
    ]  # fmt: skip


def _listed(values: object) -> str:
    return ",".join(v if isinstance(v, str) else f"{v:g}" for v in values)  # type: ignore[attr-defined]


def _row(
    name: str,
    kind: str,
    strength: float,
    runs: pd.DataFrame,
    plain: pd.DataFrame | None = None,
) -> dict[str, object]:
    """A configuration's means; with `plain`, differences to that network, paired by seed.

    test and last: at the last step, best: on the way.
    """
    out = {
        "part": name, "kind": kind, "strength": strength, "seeds": len(runs),
        "best": runs["best/nll_val"].mean(), "best_sd": runs["best/nll_val"].std(),
        "last": runs["nll/val"].mean(), "train": runs["nll/train"].mean(),
        "test": runs["nll/test"].mean(), "test_sd": runs["nll/test"].std(),
        "norm": runs["weights/norm"].mean(), "unigram": runs["floor/unigram"].mean(),
    }  # fmt: skip
    for column, metric in (("test_off", "nll/test"), ("best_off", "best/nll_val")):
        if plain is not None:
            off = estimate((runs[metric] - plain[metric]).to_numpy())
            out |= {column: off.mean, f"{column}_half": off.half}
    return out


def fresh_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Each kind at its own strength, on fresh seeds."""
    return rows[rows["part"] == "fresh"].set_index("kind")


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Kinds at their best strength and other amounts of data, on fresh seeds."""
    out = []
    for one in rows[rows["part"].isin(["fresh", "data"])].to_dict("records"):
        kind = one["kind"].replace("_", " ")
        named = kind if one["part"] == "fresh" else f"none, {one['strength']:g} of the names"
        out.append({
            "regularizer": named, "strength": "" if kind == "none" else f"{one['strength']:g}",
            "best validation": f"{one['best']:.3f} ± {one['best_sd']:.3f}",
            "chosen by": f"{one['chosen_by']:.3f}" if one["part"] == "fresh" else "",
            "to none, stopped early": f"{one['best_off']:+.3f} ± {one['best_off_half']:.3f}",
            "last step": f"{one['last']:.3f}", "test, last step": f"{one['test']:.3f}",
            "to none, paired (95 %)": f"{one['test_off']:+.3f} ± {one['test_off_half']:.3f}",
            "weight norm": f"{one['norm']:.1f}",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    fresh = fresh_rows(rows)
    none, held = fresh.loc["none"], fresh.drop("none")
    first = held["best"].idxmin()
    gain = none["best"] - held.loc[first, "best"]
    stay = {kind: fresh.loc[kind, "last"] - fresh.loc[kind, "best"] for kind in KINDS}
    best = fresh["best"]
    three = best[["l2", "l1", "weight_decay"]]
    flattered = fresh["best"] - fresh["chosen_by"]
    data = rows[rows["part"] == "data"].set_index("strength")
    twice, half = data.loc[0.2, "best"], data.loc[0.05, "best"]
    decay = rows["kind"].eq("weight_decay")
    part = rows[decay & rows["part"].isin(["search", "limit"])].sort_values("strength")
    every = rows[decay & rows["part"].eq("limit, all")].sort_values("strength")
    ends = part["train"].iloc[-1], every["train"].iloc[-1]
    falls = all(_falls(one["norm"].to_numpy()) for one in (part, every))
    unigram, equal = part["unigram"].iloc[0], np.log(27)
    return [
        Claim(f"Without a regularizer the last step is {stay['none']:.3f} nats above the best on "
              f"the way; {_name(first)}, the best of the penalties, adds {gain:.3f} to that.",
              stay["none"] > 0.3 and gain <= 0.06),
        Claim(f"Last step above the best one: l2 {stay['l2']:.3f}, weight decay "
              f"{stay['weight_decay']:.3f}, l1 {stay['l1']:.3f}, dropout {stay['dropout']:.3f}, "
              f"smoothing {stay['smoothing']:.3f}.",
              max(stay["l2"], stay["weight_decay"]) < 0.05),
        Claim(f"L2, L1 and weight decay lie within {three.max() - three.min():.3f}; dropout "
              f"{best['dropout']:.3f}, smoothing {best['smoothing']:.3f}.",
              three.max() - three.min() < 0.03
              and best["dropout"] < best["smoothing"]),
        Claim(f"On fresh seeds the chosen strengths differ from where they were chosen by "
              f"{flattered.min():+.3f} to {flattered.max():+.3f}.",
              flattered.min() > 0 and flattered.max() < 0.02),
        Claim(f"Twice the words, stopped early: {twice:.3f}; the best regularizer: "
              f"{held['best'].min():.3f}; half the words: {half - none['best']:+.3f}.",
              twice < held["best"].min() and half - none["best"] > 0.1),
        Claim(f"Under the strongest decay of the weights the training loss is {ends[0]:.4f} (the "
              f"letters' entropy {unigram:.4f}), under that of everything {ends[1]:.4f} (ln 27 = "
              f"{equal:.4f}).", abs(ends[0] - unigram) < 0.02 and abs(ends[1] - equal) < 0.02,
              direction=True),
        Claim(f"The norm of the weights {'falls' if falls else 'does not fall'} at every step of "
              "the strength, down to 0.", falls),
    ]  # fmt: skip


def _falls(norm: np.ndarray) -> bool:
    """Whether the norm falls at every step of the strength, as long as any is left."""
    return bool(np.all((np.diff(norm) < 0) | (norm[:-1] < NOTHING)))


def _name(kind: str) -> str:
    return kind.replace("_", " ")


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Left: best and last validation over strength, a kind a colour. Right: the limit of decay."""
    none = rows[rows["part"].eq("search") & rows["kind"].eq("none")].iloc[0]
    with style.draw():
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        for kind in KINDS[1:]:
            one = rows[rows["part"].eq("search") & rows["kind"].eq(kind)].sort_values("strength")
            places = np.arange(len(one))
            left.plot(
                places,
                one["best"],
                color=COLOURS[kind],
                marker="o",
                ms=3,
                label=_name(kind),
            )
            left.plot(places, one["last"], color=COLOURS[kind], ls=(0, (4, 2)), lw=1.2)
        left.axhline(none["best"], color="black", lw=1)
        left.axhline(none["last"], color="black", lw=1, ls=(0, (4, 2)))
        left.set_xticks(range(6), ["weakest", "", "", "", "", "strongest"])
        left.set(xlabel="the six strengths searched", ylabel="validation (nats)")
        left.set_title("best on the way (solid), last step (dashed); black: none", fontsize=8.5)
        left.legend(frameon=False, fontsize=8)
        decay = rows["kind"].eq("weight_decay")
        held = ((("search", "limit"), "weight matrices"), (("limit, all",), "everything"))
        for (parts, label), colour in zip(held, style.OKABE_ITO[2:0:-1], strict=True):
            one = rows[decay & rows["part"].isin(parts)].sort_values("strength")
            x, y = one["strength"], one["train"]
            right.plot(x, y, color=colour, marker="o", ms=3, label=label)
        right.axhline(np.log(27), color="grey", ls=":", lw=1)
        right.axhline(none["unigram"], color="grey", ls=":", lw=1)
        right.set(xscale="log", xlabel="weight decay (dotted: ln 27, the letters' entropy)")
        right.legend(frameon=False, fontsize=8, title="what decays")
        style.save(figure, folder / "figure.svg")
