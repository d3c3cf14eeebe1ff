"""Learning curves: validation and training over steps, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.components.losses import LOSSES
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import facets, floor_lines, held_sentence, most, names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.effects import Swept
    from harness.analysis.levels import Key

RAW_NOTE = (
    "Softmax is the wrong link for the raw logits of {}: the nll overstates how bad they are; "
    "compare by accuracy or by the calibrated nll."
)
LINES = (("solid", "validation"), ("dashed", "training"))
NAMES = {"val": "validation", "train": "training"}
DOTTED = ("dotted", "floors by counting")
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
    near = floors if metric == "nll" else {}
    label_y = f"{metric} ({swept.unit if metric == 'nll' else 'own units'})"
    free = [key.name] if key else []
    panels, caught, mixed, cut = [], {}, False, False
    with style.draw():
        for place, (loss, heading, mask) in enumerate(facets(swept, free)):
            kept, held = swept.hold_best([*free, "loss.name"], mask)
            lines = _lines(swept, curves, metric, key, kept)
            if not lines:
                continue
            caught[loss] = held
            mixed |= _mixed(swept, kept, key)
            figure, told, over = _draw(lines, key, near, label_y)
            cut |= over
            whose = f" of {loss}" if loss else ""
            panels.append(
                style.panel(
                    figure, title=heading, prefix=f"{name[0]}{name[-1]}{place}-",
                    alt=f"Learning curves{whose}, {metric} on validation: {'; '.join(told)}.",
                )
            )  # fmt: skip
    if not panels:
        return None
    what = "Cross-entropy of softmax(logits)" if metric == "nll" else "Loss"
    colour = f" Colours: `{key.name}`." if key else ""
    notes = ["Lines above the upper edge are cut: the first steps of a bad start."] * cut
    raw = [name for name in caught if name in LOSSES and not LOSSES.get(name).log_probabilities]
    if metric == "nll" and raw:
        notes.append(RAW_NOTE.format(", ".join(f"`{name}`" for name in raw)))
    band = ("band", "± 1 sd over runs of all other settings" if mixed else "± 1 sd over seeds")
    return style.Figure(
        name=name, title=title, panels=panels, note=" ".join(notes),
        caption=f"{what} on whole splits over training steps.{colour}{held_sentence(caught)}",
        key=[*LINES, *[band] * (swept.replicates > 1 or mixed), *[DOTTED] * bool(near)],
    )  # fmt: skip


def _mixed(swept: Swept, mask: Any, key: Key | None) -> bool:
    """Whether runs of one colour differ in more than their seeds."""
    configs = swept.runs["config"][mask].nunique()
    return bool(configs > (len(set(key.codes[mask])) if key else 1))


def _curves(swept: Swept) -> tuple[str, Any]:
    curves = swept.table.curves
    if not len(curves):
        return "", None
    names = set(curves["name"].unique())
    for metric in ("nll", "loss"):
        if f"{metric}/val" in names or f"{metric}/train" in names:
            return metric, curves[curves["name"].isin([f"{metric}/train", f"{metric}/val"])]
    return "", None


@dataclass
class _Line:
    """A colour: levels that gave the same curves, their runs, and {split: Curve}."""

    levels: list[int]
    runs: list[str]
    splits: dict[str, Curve]


def _lines(swept: Swept, curves: Any, metric: str, key: Key | None, mask: Any) -> list[_Line]:
    """Each colour once: levels of the very same curves share one."""
    out: dict[bytes, _Line] = {}
    present = sorted(set(key.codes[mask])) if key else [0]
    for level in [present[i] for i in most(len(present), 4 if key and key.binned else 6)]:
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
            same = b"".join(part.tobytes() for curve in splits.values() for part in curve)
            line = out.setdefault(same, _Line([], [], splits))
            line.levels.append(level)
            line.runs += ids.tolist()
    return list(out.values())


def _draw(
    lines: list[_Line], key: Key | None, floors: Mapping[str, float], label_y: str
) -> tuple[Any, list[str], bool]:
    """(figure, what it shows in words, whether lines leave it above)."""
    labels = [f"{key.short}={names_of(key, one.levels)}" if key else "validation" for one in lines]
    figure, axes = style.canvas(right=style.room_for([*labels, "counting (val)" if floors else ""]))
    tones = style.colours(bool(key and key.numeric), len(lines))
    ends, late, every, told = [], [*floors.values()], [], []
    for line, tone, label in zip(lines, tones, labels, strict=True):
        splits = line.splits
        for split, (steps, mean, sd) in splits.items():
            values = [number(value, 4) for value in mean.tolist()]
            where = [f"{NAMES[split]}, step {step:,}" for step in steps.tolist()]
            figure.note(axes, steps, mean, [line.runs] * len(steps), values, where)
            dashed = split == "train" and "val" in splits
            dashes, width = ((0, (4, 2)), 1.1) if dashed else ("-", 1.7)
            axes.plot(steps, mean, color=tone, linewidth=width, linestyle=dashes)
            if np.isfinite(sd).any():
                axes.fill_between(steps, mean - sd, mean + sd, color=tone, alpha=0.16, linewidth=0)
            late += after_the_start(mean)
            every += mean.tolist()
        last = (splits.get("val") or splits["train"])[1][-1]
        ends.append((float(last), label, tone))
        told.append(f"{label} ends at {number(float(last))}")
    high, near = frame(axes, late, floors, label_y)
    ends += near
    figure.what = label_y.partition(" ")[0]
    apart = max(len(steps) for line in lines for steps, *_ in line.splits.values()) - 1
    figure.reach = (max(9.0, 0.5 * figure.get_figwidth() * 72 / max(apart, 1)), 9.0)
    style.label_ends(axes, ends)
    return figure, told, max(every) > high


def after_the_start(values: NDArray[np.float64]) -> list[float]:
    """What of a curve decides how far its axis reaches; all of a curve of one point."""
    late: list[float] = values[len(values) // 20 + 1 :].tolist() or values.tolist()
    return late


def frame(
    axes: Axes, late: list[float], floors: Mapping[str, float], label: str
) -> tuple[float, list[Any]]:
    """Axes over training steps, with the floors that they reach; their top, and the floors' ends.

    late: see `after_the_start`, of all curves.
    """
    low, high = _limits(late)
    axes.set_ylim(low, high)
    axes.set_xlim(left=0)
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    near = floor_lines(axes, {n: v for n, v in floors.items() if low <= v <= high})
    return high, list(near)


def _limits(late: list[float]) -> tuple[float, float]:
    """Limits that show what comes after the first steps, not what a diverging run did."""
    known = np.array(late)
    known = known[known <= 4 * np.median(known)] if np.median(known) > 0 else known
    low, high, cap = float(known.min()), float(known.max()), float(np.quantile(known, 0.9))
    high = min(high, 2 * cap - low) if cap > low else high + 0.1
    pad = 0.05 * max(high - low, 1e-3)
    return low - pad, high + pad
