"""The regularization path: training, validation and the weights' size against the strength."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import facets, floor_lines, held_sentence

if TYPE_CHECKING:
    from harness.analysis.effects import Swept
    from harness.analysis.levels import Key

STRENGTH, NORM = "reg.strength", "weights/norm"
SPLITS = (
    ("nll/val", "validation", "-"),
    ("best/nll_val", "best validation", (0, (1, 1.5))),
    ("nll/train", "training", (0, (4, 2))),
)


def path_figure(swept: Swept, floors: Mapping[str, float]) -> style.Figure | None:
    """Panels of nll and weight norm over reg.strength, one a loss; None where it is not swept."""
    if STRENGTH not in swept.keys or not any(len(swept.known(metric)) for metric, *_ in SPLITS):
        return None
    panels, caught = [], {}
    with style.draw():
        for place, (loss, heading, mask) in enumerate(facets(swept, [STRENGTH])):
            kept, held = swept.hold_best([STRENGTH, "loss.name"], mask)
            kept &= (swept.runs["verdict"] != "diverged").to_numpy()
            if any(swept.runs[m][kept].notna().any() for m, *_ in SPLITS if m in swept.runs):
                panels.append(_panel(swept, kept, floors, heading, f"r{place}-", loss))
                caught[loss] = held
    if not panels:
        return None
    return style.Figure(
        name="regularization-path", title="The regularization path",
        caption="Cross-entropy of softmax(logits) at the end of training, and below it the norm of "
        f"all linear layers' weights, over `{STRENGTH}`; mean over seeds, bars ± 1 sd."
        f"{held_sentence(caught)}",
        panels=panels,
    )  # fmt: skip


def _panel(
    swept: Swept, mask: Any, floors: Mapping[str, float], heading: str, prefix: str, facet: str
) -> style.Panel:
    key = swept.keys[STRENGTH]
    runs = swept.runs[mask].assign(level=key.codes[mask])
    places = _places(key)
    sizes = _weights(runs)
    right, height = (
        style.room_for(["best validation"]),
        style.HEIGHT + (0.75 if sizes is not None else 0),
    )
    figure, axes = style.canvas(right=right, height=height)
    ends, values, told = [], [], []
    for (metric, label, dashes), tone in zip(SPLITS, style.OKABE_ITO, strict=False):
        if metric not in runs or not runs[metric].notna().any():
            continue
        table = runs.groupby("level")[metric].agg(["mean", "std"]).dropna(subset=["mean"])
        x, y = places[table.index.to_numpy()], table["mean"].to_numpy()
        bars = table["std"].fillna(0).to_numpy()
        axes.errorbar(
            x, y, bars, color=tone, linestyle=dashes, marker="o", markersize=3.2, elinewidth=1
        )
        owners = [runs.loc[runs["level"] == level, "run_id"].tolist() for level in table.index]
        figure.note(axes, x, y, owners, [number(v, 4) for v in y.tolist()], [label] * len(y))
        values += [*(y + bars), *(y - bars)]
        ends.append((float(y[-1]), label, tone))
        told.append(f"{label} from {number(float(y[0]))} to {number(float(y[-1]))}")
    low, high = min(values), max(values)
    near = {n: v for n, v in floors.items() if low - 0.5 <= v <= high + 0.5}
    low, high = min([low, *near.values()]), max([high, *near.values()])
    pad = 0.06 * max(high - low, 1e-3)
    axes.set_ylim(low - pad, high + pad)
    ends += floor_lines(axes, near)
    lowest = axes
    if sizes is not None:
        box = axes.get_position()
        share = 0.75 / height
        axes.set_position((box.x0, box.y0 + share, box.width, box.height - share))
        lowest = figure.add_axes((box.x0, box.y0, box.width, share * 0.78))
        lowest.tick_params(length=3, pad=2.5)
        x, y = places[sizes.index.to_numpy()], sizes.to_numpy()
        lowest.plot(x, y, color=style.OKABE_ITO[3], marker="o", markersize=3.2)
        style.log_axis(lowest, "y", float(y.min()) / 1.6, float(y.max()) * 1.6)
        style.label_ends(lowest, [(float(y[-1]), "weight norm", style.OKABE_ITO[3])])
        told.append(f"weight norm from {number(y[0])} to {number(y[-1])}")
        axes.set_xticks(places, [])
    style.name_ticks(lowest, places.tolist(), key.labels)
    for one in (axes, lowest):
        one.set_xlim(places[0] - 0.4, places[-1] + 0.4)
    lowest.set_xlabel(STRENGTH)
    axes.set_ylabel(f"nll ({swept.unit})")
    style.label_ends(axes, ends)
    alt = f"Regularization path{' of ' + facet if facet else ''}: {'; '.join(told)}."
    return style.panel(figure, title=heading, alt=alt, prefix=prefix)


def _places(key: Key) -> Any:
    """Where each strength stands: in order, evenly, as 0 has no place on a log axis."""
    return np.arange(len(key.labels), dtype=float)


def _weights(runs: Any) -> Any:
    """Mean norm of the weights by level; None where unknown."""
    if NORM not in runs:
        return None
    known = runs[runs[NORM] > 0]
    return known.groupby("level")[NORM].mean() if len(known) else None
