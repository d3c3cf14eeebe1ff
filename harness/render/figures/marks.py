"""What a page tells of a dot, a vertex or a cell when a pointer or the keyboard is on it.

A figure notes its marks while it is drawn; where they are on the page is known once it is done.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

POINTS = 72.0  # to the inch: the unit of an SVG drawing
REACH = (9.0, 9.0)  # points around a mark that are its own
MOST = 400  # marks of one panel; of more, as many spread evenly


def drawing_of(axes: Axes) -> Drawing | None:
    """The drawing that these axes fill, if it is about one run; None in a part of a figure."""
    figure = axes.figure
    return figure if isinstance(figure, Drawing) and figure.about else None


class Mark(NamedTuple):
    """One mark of a finished drawing: its place in points from the upper left, runs and value.

    where: what many marks of a page share, such as "validation, step 100".
    """

    x: float
    y: float
    runs: tuple[str, ...]
    value: str
    where: str


@dataclass(frozen=True, kw_only=True)
class _Noted:
    axes: Axes
    at: Sequence[tuple[float, float]]
    runs: Sequence[tuple[str, ...]]
    values: Sequence[tuple[str, str]]


class Drawing(Figure):
    """A matplotlib figure that a notebook shows without pyplot, and that knows its marks.

    what: what the values of its marks are, such as a metric's name; reach: how far around a mark a
    pointer may be, in points across and up. about: the id of the one run that it shows, if so.
    """

    what = about = ""
    reach = REACH

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png", facecolor="white", dpi=110)
        return out.getvalue()

    def note(
        self, axes: Axes, x: ArrayLike, y: ArrayLike, runs: Iterable[Sequence[str]],
        values: Iterable[str], where: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """Remember marks at (x, y) of these axes' data, each with the ids of its runs and a value.

        where: see `Mark`. Marks of one place and value are one mark.
        """
        met: dict[tuple[float, float, str, str], dict[str, None]] = {}
        xs, ys = np.asarray(x, float).tolist(), np.asarray(y, float).tolist()
        told = list(where) or [""] * len(xs)
        for a, b, own, *words in zip(xs, ys, runs, values, told, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                met.setdefault((a, b, *words), {}).update(dict.fromkeys(own))
        noted = _Noted(
            axes=axes, at=[(a, b) for a, b, *_ in met], runs=[tuple(own) for own in met.values()],
            values=[(value, words) for _, _, value, words in met],
        )  # fmt: skip
        self.noted = [*getattr(self, "noted", ()), noted]

    def tell(
        self,
        axes: Axes,
        x: ArrayLike,
        y: ArrayLike,
        values: Sequence[str],
        where: Iterable[str] = (),
    ) -> None:
        """Marks of the run that this drawing is about, as `note`."""
        self.note(axes, x, y, [(self.about,)] * len(values), values, where)

    def marks(self) -> list[Mark]:
        """All marks inside their axes, from left to right, at most MOST."""
        out: list[Mark] = []
        height = self.get_figheight() * POINTS
        for part in getattr(self, "noted", ()):
            if not part.at:
                continue
            spots = part.axes.transData.transform(part.at) * POINTS / self.dpi
            box = part.axes.get_window_extent().padded(2.0)
            inside = [box.contains(*spot) for spot in spots * self.dpi / POINTS]
            every = zip(spots.tolist(), inside, part.runs, part.values, strict=True)
            for (x, y), kept, runs, words in every:
                if kept:
                    out.append(Mark(round(x, 1), round(height - y, 1), runs, *words))
        out.sort(key=lambda mark: (mark.x, -mark.y))
        if len(out) > MOST:
            out = [out[i] for i in np.linspace(0, len(out) - 1, MOST).round().astype(int)]
        return out
