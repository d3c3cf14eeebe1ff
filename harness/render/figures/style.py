"""How every figure looks: small panels as SVG that follow the page's colours, light or dark.

A panel is drawn once with fixed colours and then told apart for the page: ink, grid and series
colours become CSS variables, text stays text. So one file suits both schemes, print and phones.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator

from harness.render.figures.marks import REACH, Drawing, Mark

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

WIDTH, HEIGHT = 4.0, 2.9  # inches of a panel; the page scales it to its column
TITLE = 0.24  # inches for a line above axes
LETTERS = 36  # of a label in a drawing; longer ones are cut
INK, FAINT, GRID, PAPER = "#111214", "#6a6d71", "#d5d7d9", "#fefefd"
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # for kinds
VIRIDIS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#bddf26")  # for amounts
VARIABLES = {
    INK: "--ink", FAINT: "--faint", GRID: "--grid", PAPER: "--paper",
    **{c: f"--k{i}" for i, c in enumerate(OKABE_ITO)},
    **{c: f"--v{i}" for i, c in enumerate(VIRIDIS)},
}  # fmt: skip
RC: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "harness", "font.family": "DejaVu Sans",
    "font.size": 8.5, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.linewidth": 0.7, "xtick.major.width": 0.7, "ytick.major.width": 0.7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID,
    "grid.linewidth": 0.5, "figure.facecolor": "none", "axes.facecolor": "none",
    "lines.linewidth": 1.6, "lines.solid_capstyle": "round", "axes.axisbelow": True,
    "path.simplify": True, "path.simplify_threshold": 0.3,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing: its heading, what it shows in words (for who cannot see it), and its SVG.

    name: unlike any other panel's. marks, what, reach: see `marks.Drawing`.
    """

    title: str
    alt: str
    svg: str
    name: str
    marks: Sequence[Mark] = ()
    what: str = ""
    reach: tuple[float, float] = REACH


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Panels that belong together. caption and note may hold `code` and **strong** words."""

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    note: str = ""
    key: Sequence[tuple[str, str]] = field(default=())  # (css class, what such a line means)


@contextlib.contextmanager
def draw() -> Iterator[None]:
    """The context that every figure is drawn in.

    A symbol that the font lacks, such as a Chinese one in an embedding, is no news: a page takes it
    from the reader's fonts.
    """
    with mpl.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        yield


def canvas(
    *, right: float = 0.12, width: float = WIDTH, height: float = HEIGHT
) -> tuple[Drawing, Axes]:
    """An empty panel; `right` inches are kept free for labels beside the axes."""
    figure = Drawing(figsize=(width, height))
    return figure, axes_in(figure, right=right)[0]


def axes_in(
    figure: Canvas | SubFigure, *, rows: int = 1, left: float = 0.56, right: float = 0.12,
    titled: bool = False,
) -> list[Axes]:  # fmt: skip
    """Axes that fill a panel or a part of a figure; several `rows` share an x axis.

    Room is kept for ticks and labels, `left` and `right` inches of it beside, above for the
    figure's title where it has one, and above each row for its own where they are `titled`.
    """
    width, height = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
    above = TITLE if titled else 0.0
    top = 0.12 + (TITLE if figure.get_suptitle() else 0.0)
    each = (height - 0.44 - top) / rows
    out: list[Axes] = []
    for row in range(rows):
        bottom = 0.44 + (rows - 1 - row) * each
        box = (left / width, bottom / height, 1 - (left + right) / width, (each - above) / height)
        axes = figure.add_axes(box, sharex=out[0] if out else None)
        axes.tick_params(length=3, pad=2.5, labelbottom=row == rows - 1)
        out.append(axes)
    return out


def colours(numeric: bool, count: int) -> list[str]:
    """A colour a level: viridis in order for amounts, Okabe-Ito for kinds (repeating past six)."""
    if not numeric:
        return [OKABE_ITO[i % len(OKABE_ITO)] for i in range(count)]
    last = len(VIRIDIS) - 1
    places = np.linspace(0, last, count).round().astype(int) if count > 1 else [1]
    return [VIRIDIS[i] for i in places]


def panel(figure: Canvas, *, title: str, alt: str, prefix: str) -> Panel:
    """A finished drawing as a panel of the page; prefix: unlike any other panel's."""
    svg = inline(figure, prefix=prefix).replace("<svg ", f'<svg aria-label="{escape(alt)}" ', 1)
    svg = svg.replace("viewBox=", f'viewBox="{_whole(figure)}" data-was=', 1)
    svg = re.sub(r' data-was="[^"]*"', "", svg, count=1)
    one = Panel(title=title, alt=alt, svg=svg, name=prefix.strip("-"))
    if not isinstance(figure, Drawing):
        return one
    return replace(one, marks=figure.marks(), what=figure.what, reach=figure.reach)


def _whole(figure: Canvas) -> str:
    """The viewBox, in points, that holds the figure and every label that leaves it."""
    width, height = figure.get_size_inches() * 72
    with draw():
        box = figure.get_tightbbox()
    left, right = min(0.0, box.x0 * 72 - 2), max(width, box.x1 * 72 + 2)
    top, bottom = min(0.0, height - box.y1 * 72 - 2), max(height, height - box.y0 * 72 + 2)
    return " ".join(f"{value:.5g}" for value in (left, top, right - left, bottom - top))


def inline(figure: Canvas, *, prefix: str) -> str:
    """The figure as SVG for a page: no ids but needed ones (prefixed), colours as variables."""
    out = io.StringIO()
    with draw():  # text stays text, whoever calls
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1
    )
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    places = {name: f"{prefix}{i}" for i, name in enumerate(sorted(used))}

    def rename(found: re.Match[str]) -> str:
        return f' id="{places[found[1]]}"' if found[1] in places else ""

    svg = re.sub(r' id="([^"]+)"', rename, svg)
    svg = re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{places[m[1]]})", svg)
    svg = re.sub(r'href="#([^"]+)"', lambda m: f'href="#{places[m[1]]}"', svg)
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r"font(?:-family)?: ?([^;\"]*)'DejaVu Sans'[^;\"]*", _font, svg)
    svg = re.sub(
        r"#[0-9a-f]{6}", lambda m: f"var({VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], svg
    )
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>", "", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _font(found: re.Match[str]) -> str:
    size = re.search(r"([\d.]+)px", found[1])
    bold = "font-weight: bold; " if "bold" in found[1] or "700" in found[1] else ""
    return f"{bold}font-size: {size[1]}px" if size else "font-family: inherit"


def save(figure: Canvas, path: Path) -> None:
    """Write to a file of the kind its suffix names (svg, png, pdf), on white paper."""
    with draw():
        figure.savefig(path, facecolor="white", dpi=160)


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], *, gap: float = 11.0) -> None:
    """Write a label beside the right end of each line (y, label, colour), none on another.

    gap: points between two labels. A short stroke of the line's colour leads to its label.
    """
    low, high = axes.get_ylim()
    height = axes.bbox.height / axes.figure.dpi * 72
    log = axes.get_yscale() == "log"

    def place(y: float) -> float:
        if log:
            y, lo, hi = math.log(max(y, 1e-300)), math.log(low), math.log(high)
        else:
            lo, hi = low, high
        return (y - lo) / (hi - lo) * height

    inside = [(min(max(place(y), 0.0), height), label, colour) for y, label, colour in ends]
    inside.sort(key=lambda end: end[0])
    spots = spread_out([y for y, *_ in inside], gap, height)
    for (y, label, colour), spot in zip(inside, spots, strict=True):
        axes.plot(
            [1.0, 1.035], [y / height, spot / height], transform=axes.transAxes, color=colour,
            clip_on=False, linewidth=1.2,
        )  # fmt: skip
        axes.text(
            1.045, spot / height, short(label), transform=axes.transAxes,
            va="center_baseline", ha="left", fontsize=8,
            color=INK if colour not in (FAINT, GRID) else FAINT,
        )  # fmt: skip


def spread_out(places: Sequence[float], gap: float, height: float) -> list[float]:
    """Places in ascending order, moved as little as it takes to stand `gap` apart in 0..height."""
    out = list(places)
    gap = min(gap, height / max(len(out) - 1, 1))
    for _ in range(50):
        moved = False
        for i in range(len(out) - 1):
            short = gap - (out[i + 1] - out[i])
            if short > 1e-6:
                out[i], out[i + 1], moved = out[i] - short / 2, out[i + 1] + short / 2, True
        if out and out[0] < 0:
            out[0] = 0.0
        if out and out[-1] > height:
            out[-1] = height
        if not moved:
            break
    for i in range(1, len(out)):  # what is left of an overlap is pushed up, then down
        out[i] = max(out[i], out[i - 1] + gap)
    for i in range(len(out) - 1, -1, -1):
        out[i] = min(out[i], height - (len(out) - 1 - i) * gap)
    return out


def short(label: str) -> str:
    """A label as it is written in a drawing: at most LETTERS long."""
    return label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…"


def name_ticks(axes: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Names under the x axis, turned and smaller where they would run into each other."""
    written = [short(label) for label in labels]
    turned = max(map(len, written), default=0) * len(written) > 32
    looks: Any = {"rotation": 25, "ha": "right", "rotation_mode": "anchor", "fontsize": 7}
    axes.set_xticks(places, written, **(looks if turned else {}))


def room_for(labels: Iterable[str]) -> float:
    """Inches to keep free on the right for labels of these lengths."""
    longest = max((len(short(label)) for label in labels), default=0)
    return 0.24 + 0.068 * longest


def log_axis(axes: Axes, which: str, low: float, high: float, values: Sequence[float] = ()) -> None:
    """A log axis from low to high with few plain ticks: the given values, or 1-2-5 steps."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    limit = axes.set_xlim if which == "x" else axes.set_ylim
    limit(low, high)  # before the change too: equal values have no log range of their own
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    limit(low, high)
    ticks = list(values) if 0 < len(values) <= 8 else log_ticks(low, high)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> list[float]:
    """Three to seven ticks on a log axis: 1, 1-3, 1-2-5 or finer steps of each decade."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    choices: list[list[float]] = []
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        every = max(1, (last - first) // 7) if steps == (1.0,) else 1
        ticks = [m * 10.0**e for e in range(first, last + 1, every) for m in steps]
        choices.append([float(f"{t:.6g}") for t in ticks if low * 0.999 <= t <= high * 1.001])
    good = [ticks for ticks in choices if 3 <= len(ticks) <= 7]
    if good:
        return good[0]
    few = MaxNLocator(4).tick_values(low, high)
    return [float(f"{t:.6g}") for t in few if low <= t <= high and t > 0]
