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
from harness.render.figures.marks import POINTS
from harness.render.figures.selection import facets, most

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.effects import Swept
    from harness.render.figures.marks import Drawing

SIDE = 5.2  # inches of the map itself
LOST = "#d45d00"  # all but the vermilion of Okabe and Ito, whose own code the page's scheme varies
ACROSS = 19  # marks each way under the pointer, evenly spread, and the best cell: at most 400
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What one panel shows: its heading, which runs are its own, and `cells` of these."""

    heading: str
    mask: Any
    mean_YX: NDArray[np.float64]
    lost_YX: NDArray[np.float64]


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
    parts = []
    for _, heading, mask in facets(swept, [x.name, y.name], limit=4):
        mean, lost = cells(swept, metric, x, y, mask)
        parts.append(Part(heading=heading, mask=mask, mean_YX=mean, lost_YX=lost))
    known = np.concatenate([part.mean_YX[np.isfinite(part.mean_YX)] for part in parts])
    limits = float(known.min()), _highest(swept, known)
    with style.draw():
        panels = [
            _panel(swept, part, axes, limits, metric, f"m{i}-") for i, part in enumerate(parts)
        ]
    count = int((swept.runs["verdict"] == "diverged").sum())
    return style.Figure(
        name="map", title="Map of trainability", panels=panels,
        caption=f"`{metric}` at the last step ({swept.unit}) of {len(swept.runs):,} runs over "
        f"`{x.name}` and `{y.name}`: brighter is lower, the darkest is {number(limits[1])} and "
        f"above. Orange: {count:,} runs diverged.",
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


def _tell(figure: Drawing, axes: Axes, swept: Swept, part: Part, over: tuple[Axis, Axis]) -> None:
    """Marks on cells evenly spread and on the lowest: the loss reached there, and its runs."""
    mean_YX, (x, y) = part.mean_YX, over
    rows, columns = (most(len(axis.values), ACROSS) for axis in (y, x))
    shown = np.zeros(mean_YX.shape, bool)
    shown[np.ix_(rows, columns)] = True
    lowest = (-1, -1)
    if np.isfinite(mean_YX).any():
        lowest = divmod(int(np.nanargmin(mean_YX)), mean_YX.shape[1])
        shown[lowest] = True
    owners: dict[tuple[int, int], list[str]] = {}
    for at in np.flatnonzero(part.mask & shown[y.codes, x.codes]).tolist():
        place = int(y.codes[at]), int(x.codes[at])
        owners.setdefault(place, []).append(str(swept.runs["run_id"].iat[at]))
    values = []
    for place in owners:
        known = number(float(mean_YX[place]), 4) if np.isfinite(mean_YX[place]) else "no value"
        values.append("diverged" if part.lost_YX[place] >= 0.5 else known)
    where = ["the lowest of this map" if place == lowest else "" for place in owners]
    up, across = np.array(list(owners)).T
    figure.note(axes, across, up, owners.values(), values, where)
    box, half = axes.get_window_extent(), POINTS / figure.dpi / 2
    figure.reach = (half * box.width / len(columns), half * box.height / len(rows))


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
    swept: Swept, part: Part, over: tuple[Axis, Axis], limits: tuple[float, float], metric: str,
    prefix: str,
) -> style.Panel:  # fmt: skip
    mean, lost, heading, (x, y) = part.mean_YX, part.lost_YX, part.heading, over
    figure, axes = style.canvas(right=0.95, width=SIDE + 0.95, height=SIDE)
    axes.grid(visible=False)
    axes.imshow(colours_of(mean, lost, limits), origin="lower", aspect="auto", interpolation="none")
    for which, axis in (("x", x), ("y", y)):
        at, labels = _ticks(axis)
        (axes.set_xticks if which == "x" else axes.set_yticks)(at, labels)
    axes.set_xlabel(x.name)
    axes.set_ylabel(y.name)
    figure.what = metric
    _tell(figure, axes, swept, part, over)
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
