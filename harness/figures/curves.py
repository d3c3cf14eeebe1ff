"""Learning curves: validation and training over steps, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.figures import style
from harness.figures.choose import facets, floor_lines, held_words, most, unit

if TYPE_CHECKING:
    from harness.swept import Key, Swept

MSE_NOTE = (
    " Softmax is the wrong link for the raw logits of `mse`: its nll overstates how bad it is; "
    "compare it by accuracy or by the calibrated nll."
)
KINDS = (
    ("solid", "validation"), ("dashed", "training"), ("band", "± 1 sd over seeds"),
    ("dotted", "floors by counting"),
)  # fmt: skip
Curve = tuple[Any, Any, Any]  # steps, mean, standard deviation over seeds


def curve_figure(
    swept: Swept, key: Key | None, floors: Mapping[str, float], *, name: str, title: str
) -> style.Figure | None:
    """Curves of nll: a panel a loss, a colour a level of `key`, the rest as in the best config.

    None where the table holds no curves of nll (or, failing that, of a loss).
    """
    metric, curves = _curves(swept)
    if curves is None:
        return None
    free = [key.name] if key else []
    panels, caught = [], {}
    with style.draw():
        for place, (label, heading, mask) in enumerate(facets(swept, free)):
            kept, held = swept.hold_best([*free, "loss.name"], mask)
            lines = _lines(swept, curves, metric, key, kept)
            if lines:
                caught[label] = held
                near = floors if metric == "nll" else {}
                panels.append(
                    _panel(
                        lines,
                        key,
                        near,
                        metric,
                        unit(swept),
                        heading,
                        f"{name[0]}{name[-1]}{place}-",
                        label,
                    )
                )
    if not panels:
        return None
    told = {held_words(held) for held in caught.values()}
    fixed = ""
    if len(told) == 1 and (only := told.pop()):
        fixed = f" Held: {only}, as in the best configuration."
    elif told:
        fixed = " Held, as in the best configuration of each loss: " + "; ".join(
            f"{label}: {held_words(held)}" for label, held in caught.items()
        ) + "."  # fmt: skip
    colour = f" Colours: `{key.name}`." if key else ""
    return style.Figure(
        name=name, title=title,
        caption=f"{'Cross-entropy of softmax(logits)' if metric == 'nll' else 'Loss'} on whole "
        f"splits over training steps.{colour}{fixed}",
        panels=panels,
        key=KINDS,
        note="Lines above the upper edge are cut: the first steps of a bad start."
        + (MSE_NOTE if metric == "nll" and "mse" in caught else ""),
    )  # fmt: skip


def _curves(swept: Swept) -> tuple[str, Any]:
    curves = swept.table.curves
    if not len(curves):
        return "", None
    names = set(curves["name"].unique())
    for metric in ("nll", "loss"):
        if f"{metric}/val" in names or f"{metric}/train" in names:
            return metric, curves[curves["name"].isin([f"{metric}/train", f"{metric}/val"])]
    return "", None


def _lines(swept: Swept, curves: Any, metric: str, key: Key | None, mask: Any) -> list[Any]:
    """(level, {split: Curve}) for each colour."""
    out = []
    present = sorted(set(key.codes[mask])) if key else [0]
    for level in [present[i] for i in most(len(present), 6)]:
        inside = mask & (key.codes == level) if key else mask
        ids = swept.runs.loc[inside, "run_id"]
        mine = curves[curves["run_id"].isin(set(ids))]
        splits = {}
        for split in ("train", "val"):
            part = mine[mine["name"] == f"{metric}/{split}"]
            if len(part):
                table = part.groupby("step")["value"].agg(["mean", "std", "count"])
                table = table[table["count"] == table["count"].max()]
                splits[split] = (
                    table.index.to_numpy(),
                    table["mean"].to_numpy(),
                    table["std"].to_numpy(),
                )
        if splits:
            out.append((level, splits))
    return out


def _panel(
    lines: list[Any], key: Key | None, floors: Mapping[str, float], metric: str, units: str,
    heading: str, prefix: str, facet: str,
) -> style.Panel:  # fmt: skip
    labels = [f"{key.short}={key.labels[level]}" if key else "validation" for level, _ in lines]
    figure, axes = style.canvas(right=style.room_for([*labels, "counting (val)" if floors else ""]))
    tones = style.colours(bool(key and key.numeric), len(lines))
    ends, late, told = [], [*floors.values()], []
    for (_, splits), tone, label in zip(lines, tones, labels, strict=True):
        for split, (steps, mean, sd) in splits.items():
            dashed = split == "train" and "val" in splits
            axes.plot(
                steps,
                mean,
                color=tone,
                linewidth=1.1 if dashed else 1.7,
                linestyle=(0, (4, 2)) if dashed else "-",
            )
            if np.isfinite(sd).any():
                axes.fill_between(steps, mean - sd, mean + sd, color=tone, alpha=0.16, linewidth=0)
            after = mean[len(mean) // 20 + 1 :]
            late += [*(after if len(after) else mean)]
        steps, mean, _ = splits.get("val") or splits["train"]
        ends.append((float(mean[-1]), label, tone))
        told.append(f"{label} ends at {style.number(float(mean[-1]))}")
    known = np.array([v for v in late if np.isfinite(v)])
    low, high = float(known.min()), float(known.max())
    cap = float(np.quantile(known, 0.9))
    high = min(high, cap + 1.0 * (cap - low)) if cap > low else high + 0.1
    pad = 0.05 * max(high - low, 1e-3)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlim(left=0)
    axes.set_xlabel("training step")
    axes.set_ylabel(f"{metric} ({units if metric == 'nll' else 'own units'})")
    ends += floor_lines(axes, {n: v for n, v in floors.items() if low - pad <= v <= high + pad})
    style.label_ends(axes, ends)
    alt = (
        f"Learning curves{' of ' + facet if facet else ''}: validation {metric}: {'; '.join(told)}."
    )
    return style.panel(figure, title=heading, alt=alt, prefix=prefix)
