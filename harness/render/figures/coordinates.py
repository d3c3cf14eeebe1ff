"""The coordinate check: how large activations are, layer by layer, as a network grows.

A start and a learning rate that suit every size keep these lines level, at step 0 and after a few
steps; lines that climb or sink with width say which layer outgrows the rest (the check of the
maximal-update parametrization, Yang et al. 2022, arXiv:2203.03466).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure as Canvas

from harness.errors import ConfigError
from harness.render.figures import style

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("width", "depth", "layer", "step", "std")


def plot_coordinates(table: pd.DataFrame, path: str | Path) -> Path:
    """Draw the coordinate check to a file (svg, png or pdf by its suffix).

    table: one row a measurement: width (units of a hidden layer), depth (hidden layers), layer
    ("hidden.0", ..., "output"), step, std (standard deviation of the layer's activations, or of the
    logits). More rows of the same place (seeds) are averaged. ConfigError on missing columns.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ConfigError(f"{str(path)!r} names no format for a figure; allowed: .svg, .png, .pdf.")
    parts = _parts(table)
    steps = sorted({step for _, step, _ in parts})
    axes_names = list(dict.fromkeys(axis for axis, *_ in parts))
    with style.draw():
        size = (style.WIDTH * len(steps), style.HEIGHT * len(axes_names))
        figure = Canvas(figsize=size)
        grid = figure.subplots(len(axes_names), len(steps), squeeze=False)
        figure.subplots_adjust(
            0.09, 0.6 / size[1], 1 - 0.95 / size[0], 1 - 0.35 / size[1], wspace=0.5, hspace=0.45
        )
        for axis, step, part in parts:
            axes = grid[axes_names.index(axis)][steps.index(step)]
            ends = _lines(axes, part, axis, _limits(table))
            axes.set_title(f"step {step:,}", loc="left", fontsize=9, fontweight="bold")
            style.label_ends(axes, ends)
        style.save(figure, path)
    return path


def _parts(table: pd.DataFrame) -> list[tuple[str, int, pd.DataFrame]]:
    """(width or depth, step, rows) of each panel; the other of the two held at its commonest."""
    missing = [name for name in COLUMNS if name not in table]
    if missing or not len(table):
        raise ConfigError(
            f"the table has no {', '.join(missing) or 'rows'}; needed: {', '.join(COLUMNS)}."
        )
    out = []
    for axis, other in (("width", "depth"), ("depth", "width")):
        if table[axis].nunique() < 2:
            continue
        reach = table.groupby(other)[axis].nunique()
        held = reach[reach == reach.max()].index.max()
        for step in sorted(table["step"].unique()):
            part = table[(table[other] == held) & (table["step"] == step)]
            if len(part):
                out.append((axis, int(step), part))
    if not out:
        raise ConfigError("neither width nor depth varies in the table; give at least two of one.")
    return out


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    known = table.loc[table["std"] > 0, "std"]
    return (float(known.min()) / 1.3, float(known.max()) * 1.3) if len(known) else (0.1, 10.0)


def _lines(
    axes: Any, part: pd.DataFrame, axis: str, limits: tuple[float, float]
) -> list[tuple[float, str, str]]:
    layers = sorted(part["layer"].unique(), key=lambda n: (n == "output", len(n), n))
    tones = style.colours(True, max(len(layers) - ("output" in layers), 1))
    ends = []
    style.log_axis(axes, "y", *limits)
    spots = sorted(float(v) for v in part[axis].unique())
    style.log_axis(axes, "x", spots[0] / 1.15, spots[-1] * 1.15, spots)
    for place, layer in enumerate(layers):
        mean = part[(part["layer"] == layer) & (part["std"] > 0)].groupby(axis)["std"].mean()
        if not len(mean):
            continue
        tone = style.OKABE_ITO[1] if layer == "output" else tones[place]
        axes.plot(mean.index.to_numpy(float), mean.to_numpy(), color=tone, marker="o", markersize=3)
        if len(layers) <= 8 or place % (len(layers) // 8 + 1) == 0 or layer == "output":
            ends.append((float(mean.iloc[-1]), str(layer), tone))
    axes.set_xlabel("width (units a hidden layer)" if axis == "width" else "depth (hidden layers)")
    axes.set_ylabel("activation std")
    return ends
