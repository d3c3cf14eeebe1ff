"""Heat maps of a metric over two settings, one panel a loss, numbers in the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import facets

if TYPE_CHECKING:
    from harness.analysis.effects import Swept
    from harness.analysis.levels import Key

PAIRS = (("init.weight_scale", "reg.strength"),)


def two_keys(swept: Swept) -> tuple[Key, Key] | None:
    """The settings to map over: weight scale and strength, else the two most influential."""
    for pair in PAIRS:
        if all(name in swept.keys for name in pair):
            return swept.keys[pair[0]], swept.keys[pair[1]]
    names = [n for n in swept.influence if n != "loss.name"]
    if len(names) < 2:
        names = list(swept.influence)
    return (swept.keys[names[0]], swept.keys[names[1]]) if len(names) > 1 else None


def heat_figure(
    swept: Swept, metric: str, *, name: str, title: str, unit: str
) -> style.Figure | None:
    """Mean of a metric over (x, y); None where fewer than two settings vary or none has it."""
    pair = two_keys(swept)
    if pair is None or not len(swept.known(metric)):
        return None
    x, y = pair
    groups = facets(swept, [x.name, y.name])
    cells = [_cells(swept, metric, x, y, mask) for *_, mask in groups]
    known = np.concatenate([c[0][np.isfinite(c[0])] for c in cells])
    if not len(known):
        return None
    limits = float(known.min()), float(np.quantile(known, 0.95))
    with style.draw():
        panels = [
            _panel(
                grid,
                pair,
                limits,
                heading,
                f"{name[0]}{name[-1]}{i}-",
                _Told(metric, title, _runs_of(swept, x, y, mask)),
            )
            for i, ((_, heading, mask), grid) in enumerate(zip(groups, cells, strict=True))
            if np.isfinite(grid[0]).any() or grid[1].any()
        ]
    rest = [
        k
        for k in swept.keys
        if k not in (x.name, y.name) and not (k == "loss.name" and len(groups) > 1)
    ]
    over = ", ".join(f"`{k}`" for k in rest[:4]) + (" and others" if len(rest) > 4 else "")
    return style.Figure(
        name=name, title=title, panels=panels,
        caption=f"`{metric}` ({unit}), mean over seeds{' and over ' + over if rest else ''}; "
        "brighter is lower. One colour scale for all panels. “div.”: every run diverged.",
    )  # fmt: skip


def _cells(swept: Swept, metric: str, x: Key, y: Key, mask: Any) -> tuple[Any, Any]:
    """(means, all-diverged flags), rows y and columns x."""
    values = swept.values(metric)
    shape = (len(y.labels), len(x.labels))
    flat = y.codes * len(x.labels) + x.codes
    bad = (swept.runs["verdict"] == "diverged").to_numpy() & mask
    good = mask & np.isfinite(values)
    size = shape[0] * shape[1]
    count = np.bincount(flat[good], minlength=size)
    total = np.bincount(flat[good], weights=values[good], minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    lost = (np.bincount(flat[bad], minlength=size) > 0) & (count == 0)
    return mean.reshape(shape), lost.reshape(shape)


def _panel(
    grid: tuple[Any, Any], over: tuple[Key, Key], limits: tuple[float, float], heading: str,
    prefix: str, told: _Told,
) -> style.Panel:  # fmt: skip
    (table, lost), (x, y) = grid, over
    rows = [style.short(label) for label in y.labels]
    left = 0.3 + 0.07 * min(20, max(map(len, rows)))  # the page grows for what is longer
    height = max(1.6, min(3.4, 0.75 + 0.32 * len(y.labels)))
    figure, axes = style.canvas(right=0.05, height=height)
    box = (left / style.WIDTH, 0.46 / height, 1 - (left + 0.06) / style.WIDTH, 1 - 0.52 / height)
    axes.set_position(box)
    axes.grid(False)
    low, high = limits
    for row in range(len(y.labels)):
        for column in range(len(x.labels)):
            value = table[row, column]
            if np.isfinite(value):
                share = 0.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)
                red, green, blue, _ = colormaps["viridis"](1.0 - share)
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
                fill, ink = to_hex((red, green, blue)), "#ffffff" if dark else "#000000"
                words = f"{value:.3f}" if abs(value) < 10 else number(value)
            else:
                fill, ink = "none", style.FAINT
                words = "div." if lost[row, column] else ""
            axes.add_patch(_square(column, row, fill))
            if own := told.runs.get((row, column)):
                figure.note(axes, [column], [row], [own], [words or "no value"])
            if len(x.labels) <= 8:
                axes.text(
                    column, row, words, ha="center", va="center_baseline", color=ink, fontsize=8
                )
    figure.what = told.metric
    figure.reach = (
        36 * box[2] * style.WIDTH / len(x.labels),
        36 * box[3] * height / len(y.labels),
    )
    axes.set_xlim(-0.5, len(x.labels) - 0.5)
    axes.set_ylim(-0.5, len(y.labels) - 0.5)
    style.name_ticks(axes, range(len(x.labels)), x.labels)
    axes.set_yticks(range(len(y.labels)), rows)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel(x.name)
    axes.set_ylabel(y.name)
    alt = f"{told.title}{', ' + heading if heading else ''}"
    return style.panel(figure, title=heading, alt=_words(table, x, y, alt), prefix=prefix)


@dataclass(frozen=True)
class _Told:
    """What a panel's cells are: a metric, as its figure names it, and the runs of (row, column)."""

    metric: str
    title: str
    runs: dict[tuple[int, int], list[str]]


def _runs_of(swept: Swept, x: Key, y: Key, mask: Any) -> dict[tuple[int, int], list[str]]:
    """The ids of the runs of each cell, (row, column)."""
    out: dict[tuple[int, int], list[str]] = {}
    for place in np.flatnonzero(mask):
        cell = int(y.codes[place]), int(x.codes[place])
        out.setdefault(cell, []).append(str(swept.runs.at[place, "run_id"]))
    return out


def _square(column: int, row: int, fill: str) -> Any:
    from matplotlib.patches import Rectangle

    edge = style.GRID if fill == "none" else style.PAPER
    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=fill, edgecolor=edge, linewidth=1.2)


def _words(table: Any, x: Key, y: Key, title: str) -> str:
    if not np.isfinite(table).any():
        return f"{title}: every run diverged."
    row, column = np.unravel_index(int(np.nanargmin(table)), table.shape)
    top_row, top_column = np.unravel_index(int(np.nanargmax(table)), table.shape)
    return (
        f"{title}: lowest {number(float(np.nanmin(table)))} at {x.short}={x.labels[column]}, "
        f"{y.short}={y.labels[row]}; highest {number(float(np.nanmax(table)))} at "
        f"{x.short}={x.labels[top_column]}, {y.short}={y.labels[top_row]}."
    )
