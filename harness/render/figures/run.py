"""One run as a figure: its curves, its boundary where its inputs are in the plane, its insides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.analysis.boundaries import boundary, in_plane
from harness.analysis.insides import insides
from harness.analysis.networks import WHEN, When, data_of
from harness.components.metrics import heading, metric_of, shown_in
from harness.config.labels import nll_unit
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.boundary import draw_boundary
from harness.render.figures.curves import after_the_start, frame
from harness.render.figures.expected import unit_of
from harness.render.figures.insides import (
    Picture,
    embedding_picture,
    gradient_picture,
    post_picture,
    pre_picture,
    saturation_picture,
    update_picture,
)
from harness.render.figures.marks import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from harness.analysis.insides import Layer
    from harness.data.dataset import Dataset
    from harness.records.record import Curve, RunRecord

COLUMNS = 3
SPLITS = (("train", "training"), ("val", "validation"))


def plot_insides(run: RunRecord, *, data: Dataset | None = None) -> Drawing:
    """What goes on inside a run's layers, at the start and at the end.

    Histograms of pre-activations and activations, saturation maps, the spread of gradients and the
    ratio of update to weight over training, and the embedding of symbols; what cannot be had is
    left out. data: what the run was trained on, where that is no source it can be loaded from.
    HarnessError where there is nothing to draw at all.
    """
    return drawn(inside_pictures(run, data)[0])


def drawn(pictures: Sequence[Picture]) -> Drawing:
    """Pictures side by side on white paper, three a row; HarnessError where there is none."""
    if not pictures:
        raise HarnessError(
            "there is nothing to draw: the run has no curves, and its network is not at hand."
        )
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    with style.draw():
        size = (style.WIDTH * columns, (style.HEIGHT + style.TITLE) * rows)
        figure = Drawing(figsize=size, facecolor="white")
        parts = figure.subfigures(rows, columns, squeeze=False)
        for place, picture in enumerate(pictures):
            part = parts[place // columns][place % columns]
            part.suptitle(picture.title, x=0.03, ha="left", fontsize=9.5, fontweight="bold")
            picture.draw(part)
    return figure


def run_pictures(record: RunRecord, data: Dataset | None = None) -> tuple[list[Picture], list[str]]:
    """Curves and boundary of a run, and what could not be drawn, in sentences."""
    pictures = [p for kind in ("loss", "nll") if (p := _curve_picture(record, kind)) is not None]
    if len(pictures) == 2 and _same(record, "loss", "nll"):
        del pictures[0]
    notes = [] if pictures else [f"no curves of run {record.run_id} are at hand."]
    if record.config.data.spec.kind != "binary":
        return pictures, notes
    try:
        data = data_of(record) if data is None else data
        if in_plane(data):
            one = boundary(record, data=data)
            pictures.append(
                Picture(
                    title="Decision boundary", alt="The output over the plane.",
                    draw=lambda figure: draw_boundary(style.axes_in(figure)[0], one),
                )
            )  # fmt: skip
    except HarnessError as error:
        notes.append(str(error))
    return pictures, notes


def inside_pictures(
    record: RunRecord, data: Dataset | None = None, *, when: Sequence[When] = WHEN
) -> tuple[list[Picture], list[str]]:
    """The pictures of a run's layers, and what could not be drawn, in sentences.

    when: "start", "end" or both; of the start alone there is nothing about training.
    """
    looks: dict[str, Sequence[Layer]] = {}
    notes: list[str] = []
    pictures: list[Picture | None] = []
    try:
        data = data_of(record) if data is None else data
        for one in when:
            looks |= _look(record, data, one, notes)
    except HarnessError as error:
        notes.append(str(error))
    tones = tones_of(record)
    if looks:
        pictures += [pre_picture(looks, tones), post_picture(looks, tones)]
        pictures.append(saturation_picture(looks))
    if "end" in when:
        pictures += [gradient_picture(record.series, tones), update_picture(record.series, tones)]
        table = record.weights.get("embedding.weight")
        if table is not None and "end" in looks:
            pictures.append(embedding_picture(table.double().numpy(), record.symbols))
    return [p for p in pictures if p is not None], notes


def tones_of(record: RunRecord) -> dict[str, str]:
    """A colour a layer, from input to output, the same in every picture."""
    hidden = [f"hidden.{i}" for i in range(len(record.config.model.hidden))]
    dense = record.config.data.spec.kind == "binary"
    names = [*([] if dense else ["embedding"]), *hidden, "output"]
    return dict(zip(names, style.colours(True, len(names)), strict=True))


def _look(
    record: RunRecord, data: Dataset, when: When, notes: list[str]
) -> Mapping[str, Sequence[Layer]]:
    try:
        return {when: insides(record, data=data, when=when)}
    except HarnessError as error:
        notes.append(str(error))
        return {}


def _curve_picture(record: RunRecord, kind: str) -> Picture | None:
    """Training dashed and validation solid over steps, with the floors where they come near."""
    lines = {
        label: record.series[f"{kind}/{split}"]
        for split, label in SPLITS if f"{kind}/{split}" in record.series
    }  # fmt: skip
    if not lines:
        return None
    unit = (
        nll_unit([record.config.data.name]) if kind == "nll" else unit_of(record.config.loss.name)
    )
    known = {n: v for n, v in record.summary.items() if kind == "nll" and metric_of(n).of_data}
    floors = {name: known[name] for name in shown_in("figures", known)}

    def draw(figure: Figure | SubFigure) -> None:
        _draw_curves(figure, lines, floors, f"{kind} ({unit})")

    last = ", ".join(f"{label} {number(float(v[-1]))}" for label, (_, v) in lines.items())
    return Picture(title=f"{kind} over training", alt=f"{kind} ends at {last}.", draw=draw)


def _draw_curves(
    figure: Figure | SubFigure, lines: Mapping[str, Curve], floors: Mapping[str, float], label: str
) -> None:
    (axes,) = style.axes_in(
        figure, left=0.66, right=style.room_for([*lines, *map(heading, floors)])
    )
    ends, late, tone = [], [], style.OKABE_ITO[0]
    for name, (steps, values) in lines.items():
        dashed = name == "training" and len(lines) > 1
        axes.plot(
            steps, values, color=tone, linewidth=1.1 if dashed else 1.7,
            linestyle=(0, (4, 2)) if dashed else "-", marker="o" if len(steps) == 1 else None,
        )  # fmt: skip
        late += after_the_start(values)
        ends.append((float(values[-1]), name, tone))
    style.label_ends(axes, ends + frame(axes, late, floors, label)[1])


def _same(record: RunRecord, first: str, second: str) -> bool:
    """Whether two kinds of curves are the same numbers."""
    pairs = [
        (record.series.get(f"{first}/{s}"), record.series.get(f"{second}/{s}")) for s, _ in SPLITS
    ]
    return all(
        a is None or b is None or (len(a[1]) == len(b[1]) and abs(a[1] - b[1]).max() < 1e-9)
        for a, b in pairs
    )
