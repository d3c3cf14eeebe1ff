"""Decision boundaries: a network's output over the plane, its zero line and the points.

Blue is -1 and vermilion +1, circles and squares; training points are filled, validation hollow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgba

from harness.analysis.boundaries import Boundary, boundary
from harness.errors import ConfigError
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.marks import Drawing, drawing_of
from harness.render.figures.selection import most

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.networks import When
    from harness.data.dataset import Dataset
    from harness.records.record import RunRecord

SIDES = {-1: (style.OKABE_ITO[0], "o"), 1: (style.OKABE_ITO[1], "s")}
POINTS = 300  # of one split drawn in one panel: a page must stay small
TOLD = 150  # of them, under the pointer
NAMES = {"train": "training", "val": "validation"}
BANDS, FAINTEST, STRONGEST = 5, 0.10, 0.42  # of each side; opacity suits light and dark pages


def plot_boundary(
    runs: RunRecord | Sequence[RunRecord], *, titles: Sequence[str] = (),
    data: Dataset | None = None, when: When = "end",
) -> Drawing:  # fmt: skip
    """The decision boundaries of runs on points in the plane, side by side, at most three a row.

        figure = plot_boundary(record)
        figure.savefig("boundary.svg")

    titles: one a run. data, when and errors as `analysis.boundaries.boundary`. Returns a
    matplotlib figure, some 4 inches a panel.
    """
    records = [runs] if not isinstance(runs, Sequence) else list(runs)
    if not records or (titles and len(titles) != len(records)):
        raise ConfigError(
            f"{len(records)} runs and {len(titles)} titles; allowed: one run or more, and a title "
            "for each or none."
        )
    found = [boundary(record, data=data, when=when) for record in records]
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    with style.draw():
        size = (style.WIDTH * columns, (style.HEIGHT + 0.35) * rows)
        figure = Drawing(figsize=size, layout="constrained", facecolor="white")
        for place, one in enumerate(found):
            axes = figure.add_subplot(rows, columns, place + 1)
            draw_boundary(axes, one)
            if titles:
                axes.set_title(titles[place], loc="left", fontsize=9, fontweight="bold")
    return figure


def draw_boundary(axes: Axes, one: Boundary) -> None:
    """Field, zero line and points on axes of equal scale; a drawing of one run tells its points."""
    axes.grid(visible=False)
    box = (one.x_X[0], one.x_X[-1], one.y_Y[0], one.y_Y[-1])
    _field(axes, one)
    for split, points in one.points.items():
        label_N = one.labels[split]
        kept = most(len(points), POINTS)
        for side, (tone, marker) in SIDES.items():
            at = [n for n in kept if label_N[n] == side]
            filled = split == "train"
            axes.plot(
                points[at, 0], points[at, 1], marker, linestyle="none", color=tone,
                markerfacecolor=tone if filled else style.PAPER,
                markeredgecolor=style.PAPER if filled else tone,
                markersize=3.4 if filled else 4.2, markeredgewidth=0.4 if filled else 1.1,
            )  # fmt: skip
    if one.output_YX.min() < 0 < one.output_YX.max():
        axes.contour(
            one.x_X, one.y_Y, one.output_YX, levels=[0.0], colors=[style.INK], linewidths=1.7
        )
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    axes.set_xlabel("first input")
    axes.set_ylabel("second input")
    _tell(axes, one)


def _tell(axes: Axes, one: Boundary) -> None:
    """The points that are drawn: split, label and output."""
    drawing = drawing_of(axes)
    if drawing is None:
        return
    drawing.what = "output"
    for split, points in one.points.items():
        kept = most(len(points), TOLD)
        values = [number(output, 3) for output in one.outputs[split][kept].tolist()]
        where = [f"{NAMES[split]}, label {label:+d}" for label in one.labels[split][kept].tolist()]
        drawing.tell(axes, points[kept, 0], points[kept, 1], values, where)


def _field(axes: Axes, one: Boundary) -> None:
    """Bands of the output, each side in its colour, fainter near 0."""
    scale = max(float(np.quantile(np.abs(one.output_YX), 0.9)), 1e-12)
    up = np.linspace(0, scale, BANDS)
    opacity = np.linspace(FAINTEST, STRONGEST, BANDS)
    sides = ((SIDES[-1][0], opacity[::-1]), (SIDES[1][0], opacity))
    tones = [to_rgba(tone, float(alpha)) for tone, alphas in sides for alpha in alphas]
    axes.contourf(
        one.x_X, one.y_Y, one.output_YX, levels=[*-up[:0:-1], *up], colors=tones, extend="both"
    )
    axes.set_aspect("equal")
