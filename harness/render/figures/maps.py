"""A map of thousands of runs over two numbers: the loss reached, and where training diverged.

In the spirit of Sohl-Dickstein 2024, "The boundary of neural network trainability is fractal"
(arXiv:2402.06184). Amounts are viridis, divergence is vermilion: told apart by every kind of
colour vision, as they differ between blue and yellow and in lightness.

Axes: Y rows, X columns, C of a colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from harness.analysis.levels import MOST_LEVELS
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import facets

if TYPE_CHECKING:
    from harness.analysis.effects import Swept

SIDE = 5.2  # inches of the map itself
LOST = "#d45d00"  # all but the vermilion of Okabe and Ito, whose own code the page's scheme varies
MEASURES = ("nll/val", "nll/train")  # the loss reached, at the last step; the first that is known


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A setting with many values: all of them in order, and each run's place among them."""

    name: str
    values: NDArray[np.float64]
    codes: NDArray[np.int64]

    @property
    def log(self) -> bool:
        """Whether a log axis suits."""
        return bool(self.values[0] > 0 and self.values[-1] / self.values[0] >= 5)


def two_axes(swept: Swept) -> tuple[Axis, Axis] | None:
    """The two numbers that a map is drawn over; None where the runs fill no grid of many values.

    Of several the two with the most values; learning rates go up, all else to the right.
    """
    found = []
    for key in swept.keys.values():
        if key.numeric and key.binned:
            values, codes = np.unique(swept.runs[key.name].astype(float), return_inverse=True)
            found.append(Axis(name=key.name, values=values, codes=codes.astype(np.int64)))
    found = sorted(found, key=lambda axis: -len(axis.values))[:2]
    if len(found) < 2:
        return None
    cells = len(found[0].values) * len(found[1].values)
    flat = found[0].codes * len(found[1].values) + found[1].codes
    if cells <= MOST_LEVELS**2 or 2 * len(np.unique(flat)) < cells:
        return None
    x, y = sorted(found, key=lambda axis: axis.name == "optim.lr")
    return x, y


def map_figure(swept: Swept) -> style.Figure | None:
    """The map; None where there is no grid of thousands of cells, or no loss."""
    axes = two_axes(swept)
    metric = next((name for name in MEASURES if len(swept.known(name))), None)
    if axes is None or metric is None:
        return None
    x, y = axes
    groups = facets(swept, [x.name, y.name], limit=4)
    grids = [cells(swept, metric, x, y, mask) for *_, mask in groups]
    known = np.concatenate([grid[0][np.isfinite(grid[0])] for grid in grids])
    limits = float(known.min()), _highest(swept, known)
    with style.draw():
        panels = [
            _panel(grid, axes, limits, heading, metric, f"m{i}-")
            for i, ((_, heading, _), grid) in enumerate(zip(groups, grids, strict=True))
        ]
    lost = int((swept.runs["verdict"] == "diverged").sum())
    return style.Figure(
        name="map", title="Map of trainability", panels=panels,
        caption=f"`{metric}` at the last step ({swept.unit}) of {len(swept.runs):,} runs over "
        f"`{x.name}` and `{y.name}`: brighter is lower, the darkest is {number(limits[1])} and "
        f"above. Orange: {lost:,} runs diverged.",
    )  # fmt: skip


def cells(
    swept: Swept, metric: str, x: Axis, y: Axis, mask: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each cell the mean of the metric (nan without one), and the share that diverged: (Y, X).

    A cell without any run has nan for both.
    """
    shape = len(y.values), len(x.values)
    flat = y.codes * len(x.values) + x.codes
    values = swept.values(metric)
    bad = (swept.runs["verdict"] == "diverged").to_numpy()
    good = mask & np.isfinite(values)
    size = shape[0] * shape[1]

    def count(which: Any, weights: Any = None) -> NDArray[np.float64]:
        part = None if weights is None else weights[which]
        return np.bincount(flat[which], weights=part, minlength=size).astype(float)

    with np.errstate(invalid="ignore", divide="ignore"):
        mean = count(good, values) / count(good)
        share = count(mask & bad) / count(mask)
    return mean.reshape(shape), share.reshape(shape)


def _highest(swept: Swept, known: NDArray[np.float64]) -> float:
    """Where the scale ends: the loss of equal logits where it is that, else almost the highest."""
    equal = swept.known("init/loss_uniform")
    likelihood = swept.ranking.yardstick.reason == "likelihood"
    if likelihood and len(equal) and known.min() < float(equal.max()):
        return float(equal.max())
    return max(float(np.quantile(known, 0.95)), float(known.min()) + 1e-9)


def colours_of(
    mean_YX: NDArray[np.float64], lost_YX: NDArray[np.float64], limits: tuple[float, float]
) -> NDArray[np.float64]:
    """(Y, X, C): viridis, bright where the loss is low; vermilion where half diverged or more."""
    low, high = limits
    share = np.clip((high - mean_YX) / max(high - low, 1e-12), 0, 1)
    out = np.asarray(colormaps["viridis"](np.nan_to_num(share)), dtype=float)
    out[np.isnan(mean_YX)] = 0.0  # nothing there: the page shows through
    out[lost_YX >= 0.5] = to_rgba(LOST)
    return out


def _panel(
    grid: tuple[Any, Any], over: tuple[Axis, Axis], limits: tuple[float, float], heading: str,
    metric: str, prefix: str,
) -> style.Panel:  # fmt: skip
    (mean, lost), (x, y) = grid, over
    figure, axes = style.canvas(right=0.95, width=SIDE + 0.95, height=SIDE)
    axes.grid(visible=False)
    axes.imshow(colours_of(mean, lost, limits), origin="lower", aspect="auto", interpolation="none")
    for which, axis in (("x", x), ("y", y)):
        at, labels = _ticks(axis)
        (axes.set_xticks if which == "x" else axes.set_yticks)(at, labels)
    axes.set_xlabel(x.name)
    axes.set_ylabel(y.name)
    box = axes.get_position()
    scale = figure.add_axes((box.x1 + 0.025, box.y0, 0.03, box.height * 0.8))
    scale.grid(visible=False)
    steps = np.linspace(0, 1, 128)[:, None]
    scale.imshow(
        colormaps["viridis"](1 - steps), origin="lower", aspect="auto", extent=(0, 1, *limits)
    )
    scale.set_xticks([])
    scale.yaxis.tick_right()
    axes.text(1.035, 0.86, metric, transform=axes.transAxes, fontsize=8)
    axes.text(1.035, 0.95, "■", transform=axes.transAxes, fontsize=11, color=LOST)
    axes.text(1.075, 0.955, "diverged", transform=axes.transAxes, fontsize=8)
    alt = (
        f"Map of {metric} over {x.name} and {y.name}{', ' + heading if heading else ''}: "
        f"{number(float(np.nanmin(mean)))} at the lowest; "
        f"{float(np.nanmean(lost >= 0.5)):.0%} of the cells diverged."
    )
    return style.panel(figure, title=heading, alt=alt, prefix=prefix)


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Where plain numbers are among the places of the values, and their labels."""
    low, high = float(axis.values[0]), float(axis.values[-1])
    if axis.log:
        ticks = style.log_ticks(low, high)
        at = np.interp(np.log(ticks), np.log(axis.values), np.arange(len(axis.values)))
    else:
        ticks = [low + share * (high - low) for share in (0, 0.25, 0.5, 0.75, 1)]
        at = np.interp(ticks, axis.values, np.arange(len(axis.values)))
    return at.tolist(), [f"{tick:.3g}" for tick in ticks]
