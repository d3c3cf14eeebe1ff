"""What each setting does by itself: every configuration's yardstick over the setting's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import floor_lines, most

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.effects import Swept
    from harness.analysis.levels import Key
    from harness.render.figures.marks import Drawing

MOST_DOTS = 600  # of one panel


def settings_figure(swept: Swept, floors: Mapping[str, float]) -> style.Figure | None:
    """A panel for each of the (at most six) most influential settings; None where none varies."""
    names = list(swept.influence)[:6]
    means = np.array([one.value.mean for one in swept.standings], float)
    if not names or not len(means) or swept.ranking.yardstick.apart:
        return None
    low, high = float(means.min()), float(np.quantile(means, 0.9))
    high = max(high, low + 0.02)
    near = (
        {n: v for n, v in floors.items() if low - 0.4 * (high - low) <= v <= high}
        if "nll" in str(swept.metric)
        else {}
    )
    with style.draw():
        panels = [
            _panel(swept, swept.keys[name], (min([low, *near.values()]), high), near, f"s{i}-")
            for i, name in enumerate(names)
        ]
    return style.Figure(
        name="settings", title="What each setting does",
        caption=f"`{swept.metric}` of every configuration (mean over seeds) over one setting at a "
        "time, the most influential first. The line joins the best configuration at each value.",
        panels=panels,
        note="Configurations in the worst tenth may lie above the upper edge; they appear there as "
        "triangles.",
    )  # fmt: skip


def _tell(
    figure: Drawing, axes: Axes, swept: Swept, spots: tuple[Any, Any], shown: tuple[Any, Any, Any]
) -> None:
    """Note each dot, with the runs of every configuration that it stands for."""
    (x, y), (level, means, keep) = spots, shown
    runs: dict[tuple[int, float], list[str]] = {}
    for one, mark in zip(
        swept.standings, zip(level.tolist(), means.tolist(), strict=True), strict=True
    ):
        runs.setdefault(mark, []).extend(one.runs)
    own = [runs[level[i], means[i]] for i in keep.tolist()]
    figure.what = str(swept.metric)
    figure.note(axes, x[keep], y[keep], own, [number(means[i], 4) for i in keep.tolist()])


def _panel(
    swept: Swept, key: Key, limits: tuple[float, float], floors: Mapping[str, float], prefix: str
) -> style.Panel:
    figure, axes = style.canvas(right=style.room_for(["counting (val)"]) if floors else 0.12)
    first = np.array([one.places[0] for one in swept.standings], int)
    level, means = key.codes[first], np.array([one.value.mean for one in swept.standings], float)
    # configurations of the very same numbers at one value are one dot
    keep = np.sort(np.unique(np.stack([level, means]), axis=1, return_index=True)[1])
    keep = keep[most(len(keep), MOST_DOTS)]
    low, high = limits
    pad = 0.06 * (high - low)
    log = key.binned and key.logarithmic
    if key.binned:
        x = swept.runs[key.name].astype(float).to_numpy()[first]
        spots = np.array(key.values, float)
        log = log and x.min() > 0
    else:
        shift = np.random.default_rng(0).uniform(
            -0.13, 0.13, len(means)
        )  # so that dots stand apart
        x, spots = level + shift, np.arange(len(key.labels), dtype=float)
    y = means[keep]
    over = y > high
    _tell(figure, axes, swept, (x, np.minimum(means, high + pad * 0.5)), (level, means, keep))
    axes.plot(
        x[keep][~over],
        y[~over],
        "o",
        color=style.OKABE_ITO[5],
        markersize=3,
        alpha=0.7,
        markeredgewidth=0,
    )
    axes.plot(
        x[keep][over],
        np.full(over.sum(), high + pad * 0.5),
        "^",
        color=style.OKABE_ITO[1],
        markersize=3,
        alpha=0.6,
        markeredgewidth=0,
    )
    best = swept.best_of(key.name)
    at = [i for i, label in enumerate(key.labels) if label in best and best[label] <= high]
    axes.plot(
        spots[at],
        [best[key.labels[i]] for i in at],
        color=style.OKABE_ITO[0],
        marker="o",
        markersize=3.5,
    )
    if log:
        style.log_axis(axes, "x", x.min() / 1.2, x.max() * 1.2)
    elif not key.binned:
        style.name_ticks(axes, spots.tolist(), key.labels)
        axes.set_xlim(-0.5, len(spots) - 0.5)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlabel(key.name)
    axes.set_ylabel(
        f"{swept.metric} ({swept.unit if 'nll' in (swept.metric or '') else 'own units'})"
    )
    style.label_ends(axes, floor_lines(axes, floors))
    told = ", ".join(f"{label}: {number(v)}" for label, v in best.items())
    share = f"{swept.influence[key.name]:.0%} of the variance"
    return style.panel(
        figure,
        title=f"{key.short}: {share}",
        alt=f"Best {swept.metric} by {key.name}: {told}.",
        prefix=prefix,
    )
