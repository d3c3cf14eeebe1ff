"""What the pictures of a run's layers tell under the pointer, where a drawing is about that run.

Axes: B bins, E examples, V symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.numerics.digits import number
from harness.render.figures.marks import POINTS, drawing_of
from harness.render.figures.selection import most

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from harness.analysis.insides import Histogram, Layer
    from harness.records.record import Curve

TOLD = 40  # marks of one line; of a row of units twice as many


def tell_line(axes: Axes, name: str, curve: Curve) -> None:
    """Some steps of a layer's curve, the first and the last among them."""
    drawing = drawing_of(axes)
    if drawing is None:
        return
    steps, values = curve
    kept = most(len(steps), TOLD)
    told = [number(value, 3) for value in values[kept].tolist()]
    where = [f"{name}, step {step:,}" for step in steps[kept].tolist()]
    drawing.tell(axes, steps[kept], values[kept], told, where)


def tell_symbols(axes: Axes, place_V2: NDArray[np.float64], symbols: Sequence[str]) -> None:
    """The symbols and where they lie."""
    drawing = drawing_of(axes)
    if drawing is None:
        return
    where = [f"at ({number(x, 3)}, {number(y, 3)})" for x, y in place_V2.tolist()]
    drawing.tell(axes, place_V2[:, 0], place_V2[:, 1], symbols, where)


def tell_densities(axes: Axes, when: str, shown: Sequence[tuple[str, Histogram]]) -> None:
    """Some bins of every layer, the highest among them; where a peak is cut, at its cut."""
    drawing = drawing_of(axes)
    if drawing is None:
        return
    drawing.what, top = "density", axes.get_ylim()[1]
    for name, histogram in shown:
        density_B, edges_B1 = histogram.density_B, histogram.edges_B1
        kept = sorted({*most(len(density_B), TOLD), int(density_B.argmax())})
        x = (edges_B1[:-1] + edges_B1[1:])[kept] / 2
        told = [
            f"{number(height, 3)} at {number(at, 3)}"
            for height, at in zip(density_B[kept].tolist(), x.tolist(), strict=True)
        ]
        drawing.tell(axes, x, density_B[kept].clip(max=top), told, [f"{name}, {when}"] * len(kept))


def tell_units(axes: Axes, when: str, layers: Sequence[Layer]) -> None:
    """Some units of every layer: how many of the examples shown saturate each."""
    drawing = drawing_of(axes)
    if drawing is None:
        return
    left, drawing.what = 0, "saturated by"
    height = axes.bbox.height / drawing.dpi * POINTS
    drawing.reach = (drawing.reach[0], height / 2)
    for layer in layers:
        assert layer.saturated_EO is not None
        E, wide = layer.saturated_EO.shape
        kept = np.array(most(wide, 2 * TOLD // len(layers)))
        counts = layer.saturated_EO.sum(0)[kept].tolist()
        told = [f"{count} of {E} examples" for count in counts]
        where = [f"{layer.name}, unit {unit}, {when}" for unit in kept.tolist()]
        drawing.tell(axes, left + kept + 0.5, np.full(len(kept), E / 2), told, where)
        left += wide
