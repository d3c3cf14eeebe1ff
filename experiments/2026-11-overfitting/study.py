"""Can overfitting be had on demand, and how do I know that it is memory?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.lab import Claim, Lab
from harness import RunRecord, load_data
from harness.analysis.sampling import sample
from harness.engine.summary import CERTAIN
from harness.numerics.folding import estimate
from harness.render.figures import style

SMALL = ("train.steps=1500", "train.eval_every=250", "model.hidden=[25],[100]", "seed=0,1")
KEYS = ["data.name", "data.fraction", "data.words", "model.hidden"]
WORDS = 1000  # drawn from each run
SHARES = {0.03: "#0072B2", 0.1: "#D55E00", 0.3: "#009E73", 1.0: "#CC79A7"}  # Okabe & Ito
SIZES = dict(zip((500, 2000, 8000, 32000), SHARES.values(), strict=True))


def results(lab: Lab) -> pd.DataFrame:
    """One row a configuration and evaluation; what holds for whole runs in the last one's."""
    torch.set_num_threads(1)  # nets as small as these draw no faster on several
    sweep = lab.sweep("experiment=overfitting")
    runs = sweep.runs.assign(width=[hidden[0] for hidden in sweep.runs["model.hidden"]])
    records = lab.records(sweep)
    wide = pd.concat({run_id: _curves(record) for run_id, record in records.items()})
    told = [
        {"run_id": run_id, **_course(wide.loc[run_id], record), **_memory(record)}
        for run_id, record in records.items()
    ]
    runs = runs.merge(pd.DataFrame(told), on="run_id")
    narrow = runs[runs["width"] == runs["width"].min()]
    narrow = narrow.set_index(["data.fraction", "data.words", "seed"])["best/nll_val"]
    rows = []
    for key, part in runs.groupby([*KEYS[:3], "width"], sort=True):
        curves = wide.loc[part["run_id"]].groupby(level=1).mean()
        at = [narrow.get((row["data.fraction"], row["data.words"], row["seed"]), np.nan)
              for row in part.to_dict("records")]  # fmt: skip
        gap, wider = estimate(part["gap/nll"]), estimate(part["best/nll_val"] - at)
        for step, one in curves.iterrows():
            rows.append({
                **dict(zip([*KEYS[:3], "width"], key, strict=True)), "step": step,
                "nll_train": one["nll/train"], "nll_val": one["nll/val"],
            })  # fmt: skip
        rows[-1] |= {
            "seeds": len(part), "gap": gap.mean, "gap_half": gap.half,
            "best": part["best/nll_val"].mean(), "best_sd": part["best/nll_val"].std(),
            "to_narrow": wider.mean, "to_narrow_half": wider.half,
            "best_step": part["best/step"].mean(),
            "turned": part["overfit/onset_step"].notna().sum(),
            "onset": part["overfit/onset_step"].mean(), "excess": part["overfit/excess"].mean(),
            "given_back": part["calibration/gain"].mean(),
            "accuracy_lost": part["accuracy_lost"].mean(),
            "drawn_train": part["drawn_train"].mean(), "times": part["times"].mean(),
            "oracle_train": part["floor/oracle_train"].mean(), "proved": part["proved"].sum(),
            "proof_step": part["proof_step"].mean(), "proof_later": part["proof_later"].sum(),
            "leaks": part["leaks"].sum(),
        }  # fmt: skip
    return pd.DataFrame(rows)


def _curves(record: RunRecord) -> pd.DataFrame:
    """The series of whole splits over the step."""
    names = "nll/train", "nll/val", "accuracy/val"
    return pd.DataFrame({name: pd.Series(*record.series[name][::-1]) for name in names})


def _course(curves: pd.DataFrame, record: RunRecord) -> dict[str, float]:
    """What one run's curves say: accuracy lost since the best step, and when memory is proven."""
    known, best = record.summary, record.summary["best/step"]
    out = {"accuracy_lost": curves["accuracy/val"][best] - curves["accuracy/val"].iloc[-1]}
    if record.config.data.name != "markov":
        return out
    data = load_data(record.config.data)
    evidence = (known["floor/oracle_train"] - curves["nll/train"]) * data.train.n
    lead = (known["floor/oracle_val"] - curves["nll/val"]) * data.val.n
    proof = next(iter(curves.index[evidence > CERTAIN]), np.nan)
    return out | {
        "proved": proof == proof, "proof_step": proof, "proof_later": proof > best,
        "leaks": (lead > CERTAIN).sum(),
    }  # fmt: skip


def _memory(record: RunRecord) -> dict[str, float]:
    """Of a run on names: share of the drawn words that it trained on, and how much likelier.

    times: how often a training word is drawn for each time that a name kept from training is.
    """
    if record.config.data.name != "census":
        return {}
    words, sizes = sample(record, WORDS)
    assert sizes is not None
    drawn = Counter(word.place for word in words)
    rate = {place: (drawn[place], sizes[place]) for place in ("val", "test", "unused")}
    other = sum(n for n, _ in rate.values()) / sum(size for _, size in rate.values())
    return {
        "drawn_train": drawn["train"] / WORDS,
        "times": drawn["train"] / sizes["train"] / other if other else np.nan,
    }


def ends(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that hold for whole runs."""
    return rows[rows["seeds"].notna()]


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Per configuration: gap, best validation, when it turned, what it lost and what is memory."""
    out = []
    for one in ends(rows).to_dict("records"):
        names = one["data.name"] == "census"
        turned = f"{one['onset']:.0f} ({one['turned']:.0f} of {one['seeds']:.0f})"
        out.append({
            "data": f"{one['data.fraction']:g} of the names" if names
            else f"{one['data.words']:.0f} known words",
            "width": one["width"], "best validation": f"{one['best']:.3f} ± {one['best_sd']:.3f}",
            "turns at step (seeds)": turned if one["turned"] else "-",
            "gap at the end": f"{one['gap']:.3f} ± {one['gap_half']:.3f}",
            "lost since": f"{one['excess']:.3f}", "of it confidence": f"{one['given_back']:.3f}",
            "drawn words memorised": f"{one['drawn_train']:.1%}" if names else "-",
            "a training word is drawn": f"{one['times']:.1f} x" if names else "-",
            "memory proven at step (seeds)": "-" if names or not one["proved"]
            else f"{one['proof_step']:.0f} ({one['proved']:.0f} of {one['seeds']:.0f})",
        })  # fmt: skip
    return pd.DataFrame(out)


def claims(rows: pd.DataFrame) -> list[Claim]:
    """What the numbers say to each prediction."""
    last = ends(rows)
    names = last[last["data.name"] == "census"].set_index(["data.fraction", "width"])
    known = last[(last["data.name"] == "markov") & (last["width"] == 100)].set_index("data.words")
    widths = sorted(set(names.index.get_level_values("width")))
    low, middle, high = widths[0], 100, widths[-1]
    more = [names.loc[(few, w), "gap"] / names.loc[(many, w), "gap"]
            for few, many in ((0.3, 1.0), (0.1, 0.3)) for w in widths]  # fmt: skip
    wider = {share: names.loc[(share, high), "gap"] - names.loc[(share, low), "gap"]
             for share in SHARES}  # fmt: skip
    dear = names.xs(high, level="width")
    worst = dear["to_narrow"].idxmax()
    onsets = [names.loc[(share, middle), "onset"] for share in (0.03, 0.1, 0.3)]
    never = names.loc[(1.0, low), "turned"]
    one = names.loc[(0.1, middle)]
    few, many = names.loc[(0.03, high), "times"], names.loc[(1.0, low), "times"]
    later = known["proof_later"].sum(), known["proved"].sum()
    sure = known["proved"] == known["seeds"]
    return [
        Claim(f"With a third of the words the gap grows by factors from {min(more):.2f} to "
              f"{max(more):.2f}.", min(more) >= 2),
        Claim(f"Width {high}'s gap minus width {low}'s is at least {min(wider.values()):+.3f} "
              f"(at {min(wider, key=wider.__getitem__):g} of the names); its best "
              f"validation is worse than width {low}'s by at most {dear['to_narrow'].max():+.3f} ± "
              f"{dear.loc[worst, 'to_narrow_half']:.3f} (at {worst:g}).",
              min(wider.values()) > 0 and dear["to_narrow"].max() <= 0.03),
        Claim("At width 100 validation turns at step "
              f"{', '.join(f'{step:.0f}' for step in onsets)} with .03, .1 and .3 of the names; "
              f"with all of them and width {low} for {never:.0f} of {names['seeds'].iloc[0]:.0f} "
              "seeds.", onsets == sorted(onsets) and never == 0),
        Claim(f"At .1 of the names and width 100 a temperature gives back {one['given_back']:.3f} "
              f"of the {one['excess']:.3f} nats lost since the best step; accuracy fell by "
              f"{one['accuracy_lost']:.3f}.",
              one["given_back"] > one["excess"] / 2 and one["accuracy_lost"] < 0.03),
        Claim(f"A training word is drawn {few:.1f} times as often as a held-out name at .03 of the "
              f"names and width {high}, {many:.2f} times with all and width {low}.",
              few > 30 and many < 2, direction=True),
        Claim("Memory is proven for every seed on "
              f"{' and '.join(f'{words:g}' for words in known.index[sure]) or 'no number of'} "
              f"words; validation lies below the source's own in {known['leaks'].sum():.0f} "
              f"evaluations; on 32000 words {known.loc[32000, 'proved']:.0f} seeds are proven.",
              list(known.index[sure]) == [500, 2000] and not known["leaks"].sum()
              and not known.loc[32000, "proved"]),
        Claim(f"The proof came after the best validation in {later[0]:.0f} of {later[1]:.0f} "
              "proven runs.", later[0] == later[1]),
    ]  # fmt: skip


def draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None:  # noqa: ARG001
    """Training (dashed) and validation (solid) over steps: names by share, the known source."""
    with style.draw():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, name, key, colours in ((left, "census", "data.fraction", SHARES),
                                         (right, "markov", "data.words", SIZES)):  # fmt: skip
            part = rows[(rows["data.name"] == name) & (rows["width"] == 100)]
            for value, colour in colours.items():
                one = part[(part[key] == value) & (part["step"] > 0)]
                axes.plot(one["step"], one["nll_val"], color=colour, label=f"{value:g}")
                axes.plot(one["step"], one["nll_train"], color=colour, ls=(0, (4, 2)), lw=1.2)
                oracle = one["oracle_train"].dropna()
                if len(oracle):
                    axes.axhline(oracle.iloc[0], color=colour, ls=":", lw=1)
            axes.set_xlabel("step")
            axes.set_ylim(1.2, 4)
        left.set_ylabel("nats per character")
        left.set_title("names: share of the training words", fontsize=9)
        right.set_title("known source: words (dotted: the source on them)", fontsize=9)
        for axes in (left, right):
            axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
        figure.suptitle("Validation (solid) and training (dashed), width 100", fontsize=10)
        style.save(figure, folder / "figure.svg")
