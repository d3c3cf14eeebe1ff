"""The insides of one run as pictures: spreads by layer, saturation maps, gradients, embedding.

After Karpathy, "Building makemore part 3: activations & gradients, BatchNorm" (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.ticker import MaxNLocator

from harness.analysis.insides import Histogram, Layer, embedding_in_plane
from harness.render.figures import style
from harness.render.figures.inside_marks import (
    tell_densities,
    tell_line,
    tell_symbols,
    tell_units,
)
from harness.render.figures.selection import most

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from harness.records.record import Curve

Tones = Mapping[str, str]  # layer -> colour
Looks = Mapping[str, Sequence[Layer]]  # what a row shows, such as "start" -> layers
HEALTHY = -3.0  # log10 of update over weight: "1e-3 is a good rule of thumb" (the lecture)
HIDDEN = 4  # hidden layers in one panel, beside embedding and output
PEAK = 2.0  # a bin this many times as high as the third highest is cut: the zeros of a ReLU
NAMED = 3  # layers of a map with their whole names below; of more, their numbers
EMBEDDING = "Embedding"  # the title of that picture
SYMBOLS = 80  # labels of an embedding
TAIL = 1e-3  # of the values, beyond each end of a panel of pre-activations
SATURATED = to_rgba("#d45d00")  # near the vermilion of style, whose own code follows the page


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One drawing to be made: heading, what it shows in words, and how to draw it.

    draw(figure) fills an empty figure of style.WIDTH inches, or a part of one.
    """

    title: str
    alt: str
    draw: Callable[[Figure | SubFigure], None]


def pre_picture(looks: Looks, tones: Tones) -> Picture:
    """Histograms of what goes into each layer's nonlinearity, and of the logits."""

    def draw(figure: Figure | SubFigure) -> None:
        every = [layer.pre for layers in looks.values() for layer in layers]
        low = min(_quantile(h, TAIL) for h in every)
        high = max(_quantile(h, 1 - TAIL) for h in every)
        rows = {
            when: [(layer.name, layer.pre) for layer in layers] for when, layers in looks.items()
        }
        _densities(figure, rows, (low, high), tones)
        figure.axes[-1].set_xlabel("pre-activation; output: logit")

    return Picture(
        title="Pre-activations", draw=draw,
        alt="Histograms of pre-activations: " + _told(looks, lambda layer: layer.pre),
    )  # fmt: skip


def post_picture(looks: Looks, tones: Tones) -> Picture | None:
    """Histograms of what comes out of each hidden layer; None where there is none."""
    rows = {
        when: [(layer.name, layer.post) for layer in layers if layer.post is not None]
        for when, layers in looks.items()
    }
    if not any(rows.values()):
        return None

    def draw(figure: Figure | SubFigure) -> None:
        every = [histogram for layers in rows.values() for _, histogram in layers]
        low, high = min(h.edges_B1[0] for h in every), max(h.edges_B1[-1] for h in every)
        _densities(figure, rows, (float(low), float(high)), tones)
        figure.axes[-1].set_xlabel("activation")

    return Picture(
        title="Activations", draw=draw,
        alt="Histograms of activations: " + _told(looks, lambda layer: layer.post),
    )  # fmt: skip


def saturation_picture(looks: Looks) -> Picture | None:
    """Examples by units, coloured where saturated; None where nothing can be."""
    rows = {
        when: [layer for layer in layers if layer.saturated_EO is not None]
        for when, layers in looks.items()
    }
    if not any(rows.values()):
        return None

    def draw(figure: Figure | SubFigure) -> None:
        several = style.axes_in(figure, rows=len(rows), titled=True)
        for axes, (when, layers) in zip(several, rows.items(), strict=True):
            kept = _shown([layer.name for layer in layers])
            shown = [layer for layer in layers if layer.name in kept]
            _maps(axes, shown)
            tell_units(axes, when, shown)
            shares = ", ".join(_percent(layer.saturated) for layer in shown)
            axes.set_title(f"{when}: {shares}", loc="left", fontsize=8, pad=3)
        several[-1].set_xlabel("units, layer by layer")

    told = "; ".join(
        f"{when}: {', '.join(f'{x.name} {_percent(x.saturated)}' for x in layers)}"
        for when, layers in rows.items()
    )
    return Picture(title="Saturated units", alt=f"Saturated units, {told}.", draw=draw)


def gradient_picture(series: Mapping[str, Curve], tones: Tones) -> Picture | None:
    """Standard deviation of each weight matrix's gradient over training; None without curves."""
    lines = layer_series(series, "grad/std")
    lines = {name: (s[v > 0], v[v > 0]) for name, (s, v) in lines.items() if (v > 0).any()}
    if not lines:
        return None

    def draw(figure: Figure | SubFigure) -> None:
        values = np.concatenate([v for _, v in lines.values()])
        axes, ends = _lines(figure, lines, tones)
        axes.set_ylabel("std of the gradient")
        style.log_axis(axes, "y", float(values.min()) / 1.2, float(values.max()) * 1.2)
        style.label_ends(axes, ends)

    last = ", ".join(f"{name} {v[-1]:.2g}" for name, (_, v) in lines.items())
    return Picture(title="Gradient spread", alt=f"Spread of gradients, at last: {last}.", draw=draw)


def update_picture(series: Mapping[str, Curve], tones: Tones) -> Picture | None:
    """log10 of update over weight over training, with the -3 line; None without curves."""
    lines = layer_series(series, "grad/update_ratio")
    if not lines:
        return None

    def draw(figure: Figure | SubFigure) -> None:
        axes, ends = _lines(figure, lines, tones)
        axes.set_ylabel("log10(update / weight)")
        axes.axhline(HEALTHY, color=style.FAINT, linewidth=1.0, linestyle=(0, (1, 2)))
        style.label_ends(axes, [*ends, (HEALTHY, "-3", style.FAINT)])

    last = ", ".join(f"{name} {v[-1]:.2f}" for name, (_, v) in lines.items())
    alt = f"Logarithm of update over weight, at last: {last}; about -3 is healthy."
    return Picture(title="Update to weight", alt=alt, draw=draw)


def embedding_picture(table_VI: NDArray[np.float64], symbols: Sequence[str]) -> Picture | None:
    """The symbols where their embedding puts them in the plane; None for fewer than 2 dimensions.

    symbols: in the order of the table's rows; of many the first ones are labelled.
    """
    if min(table_VI.shape) < 2:
        return None
    place_V2, share = embedding_in_plane(table_VI)

    def draw(figure: Figure | SubFigure) -> None:
        (axes,) = style.axes_in(figure)
        axes.plot(place_V2[:, 0], place_V2[:, 1], "o", color=style.GRID, markersize=9)
        shown = [_visible(symbol) for symbol in symbols[:SYMBOLS]]
        for (x, y), symbol in zip(place_V2[:SYMBOLS].tolist(), shown, strict=True):
            axes.text(x, y, symbol, ha="center", va="center_baseline", fontsize=8, parse_math=False)
        tell_symbols(axes, place_V2[:SYMBOLS], shown)
        axes.margins(0.08)
        for label, which in ((axes.set_xlabel, 0), (axes.set_ylabel, 1)):
            part = " dimension" if share is None else f" component ({100 * share[which]:.0f} %)"
            label(f"{('first', 'second')[which]}{part}")

    what = "two dimensions" if share is None else "two principal components"
    alt = f"The embedding of {len(symbols)} symbols in its {what}."
    return Picture(title=EMBEDDING, alt=alt, draw=draw)


def layer_series(series: Mapping[str, Curve], kind: str) -> dict[str, Curve]:
    """The curves of one kind, such as grad/std, by layer, input to output."""
    found = {n.removeprefix(f"{kind}/"): c for n, c in series.items() if n.startswith(f"{kind}/")}
    return {name: curve for name, curve in found.items() if len(curve[0])}


def _shown(names: Sequence[str]) -> list[str]:
    """The layers that a panel has room for, the same in each: the ends, and some hidden ones."""
    hidden = [name for name in names if name.startswith("hidden.")]
    kept = {hidden[i] for i in most(len(hidden), HIDDEN)}
    return [name for name in names if name in kept or name not in hidden]


def _lines(
    figure: Figure | SubFigure, lines: Mapping[str, Curve], tones: Tones
) -> tuple[Axes, list[tuple[float, str, str]]]:
    """Axes with a line a layer over steps, and the ends to label."""
    names = _shown(list(lines))
    (axes,) = style.axes_in(figure, left=0.62, right=style.room_for(names))
    ends = []
    for name in names:
        steps, values = lines[name]
        axes.plot(steps, values, color=tones[name], marker="o" if len(steps) == 1 else None)
        ends.append((float(values[-1]), name, tones[name]))
        tell_line(axes, name, (steps, values))
    axes.set_xlim(left=0)
    axes.set_xlabel("training step")
    return axes, ends


def _densities(
    figure: Figure | SubFigure, rows: Mapping[str, Sequence[tuple[str, Histogram]]],
    limits: tuple[float, float], tones: Tones,
) -> None:  # fmt: skip
    names = _shown(list(dict.fromkeys(name for layers in rows.values() for name, _ in layers)))
    several = style.axes_in(figure, rows=len(rows), right=style.room_for(names), titled=True)
    for axes, (when, layers) in zip(several, rows.items(), strict=True):
        shown = [(name, histogram) for name, histogram in layers if name in names]
        for name, histogram in shown:
            axes.stairs(
                histogram.density_B, histogram.edges_B1, color=tones[name], linewidth=1.2,
                label=name,
            )  # fmt: skip
        highest = max(float(h.density_B.max()) for _, h in shown)
        edge = PEAK * max(float(np.sort(h.density_B)[-3]) for _, h in shown)
        cut = 0 < edge < highest
        axes.set_ylim(0, edge if cut else 1.08 * highest)
        tell_densities(axes, when, shown)
        axes.set_title(f"{when}{', peaks cut' if cut else ''}", loc="left", fontsize=8, pad=3)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_ylabel("density")
    pad = 0.02 * max(limits[1] - limits[0], 1e-9)
    several[0].set_xlim(limits[0] - pad, limits[1] + pad)
    several[0].legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.08), frameon=False, handlelength=0.9, fontsize=8,
        handletextpad=0.4, borderpad=0.2,
    )  # fmt: skip


def _maps(axes: Axes, layers: Sequence[Layer]) -> None:
    """The layers' maps beside each other, a thin line between them."""
    axes.grid(visible=False)
    left, centres = 0, []
    for layer in layers:
        assert layer.saturated_EO is not None
        E, wide = layer.saturated_EO.shape
        image: NDArray[Any] = np.zeros((E, wide, 4))
        image[layer.saturated_EO] = SATURATED
        axes.imshow(image, extent=(left, left + wide, E, 0), aspect="auto", interpolation="none")
        centres.append(left + wide / 2)
        left += wide
        axes.axvline(left, color=style.FAINT, linewidth=0.7)
    axes.set_xlim(0, left)
    axes.set_ylim(E, 0)
    names = [layer.name for layer in layers]
    if len(names) > NAMED:
        names = [name.rpartition(".")[2] for name in names]
    axes.set_xticks(centres, names, fontsize=7.5)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_ylabel("examples")


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def _quantile(histogram: Histogram, share: float) -> float:
    """Where this share of the values lies below, to the width of a bin."""
    grown = np.concatenate([[0], histogram.count_B.cumsum()]) / max(histogram.total, 1)
    return float(np.interp(share, grown, histogram.edges_B1))


def _told(looks: Looks, which: Callable[[Layer], Histogram | None]) -> str:
    """The middle 98 % of each layer in words, for who cannot see the figure."""
    parts = []
    for when, layers in looks.items():
        known = [(layer.name, which(layer)) for layer in layers]
        spans = [
            f"{name} {_quantile(h, 0.01):.2g} to {_quantile(h, 0.99):.2g}"
            for name, h in known if h is not None
        ]  # fmt: skip
        parts.append(f"{when}, middle 98 %: {', '.join(spans)}")
    return "; ".join(parts) + "."


def _visible(symbol: str) -> str:
    """A symbol as a label: blanks and line ends by their signs."""
    shown = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}
    return shown.get(symbol, symbol)
