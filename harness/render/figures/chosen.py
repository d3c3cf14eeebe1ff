"""The runs of a sweep that its report looks inside of: boundaries of a few, insides of two.

Nothing is stored for it: a start is drawn anew from the settings, an end from the weights kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.boundaries import boundary, in_plane
from harness.analysis.findings import settings_words, start_ratio
from harness.analysis.networks import data_of
from harness.components.activations import ACTIVATIONS
from harness.components.sources import SOURCES
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.boundary import POINTS, draw_boundary
from harness.render.figures.insides import EMBEDDING
from harness.render.figures.marks import Drawing
from harness.render.figures.run import inside_pictures
from harness.render.figures.selection import most

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.analysis.effects import Swept
    from harness.analysis.networks import When
    from harness.records.ranking import Standing
    from harness.records.record import RunRecord

LEVELS = 5  # boundaries of one report, that of the worst run aside
CELLS = 100  # grid lines of a boundary on a page
WORSE = 1.5  # a start this many times as high as the best run's is shown beside it
ABOUT = (
    "Over the training split, before the first step and after the last, in evaluation mode. Layers "
    "of alike spread pass signals and gradients on; updates of a thousandth of the weights (-3) "
    "are healthy."
)
EMBEDDED = "Symbols are placed by their embedding, or by its two largest principal components."
SIDES = (("solid", "output 0"), ("minus", "label -1"), ("plus", "label +1"))


def boundaries_figure(swept: Swept) -> style.Figure | None:
    """The boundary of the best run at each level of the most influential setting, and of the worst.

    None where inputs are not in the plane, and where whole runs cannot be had; where their weights
    are not kept, a figure without panels that says so.
    """
    if not swept.standings or not _binary(swept):
        return None
    chosen, which = _boundary_runs(swept)
    records = _whole(swept, list(chosen))
    panels, missing = [], []
    with style.draw():
        for place, record in enumerate(records.values()):
            title = chosen[record.run_id]
            try:
                data = data_of(record)
                if not in_plane(data):
                    return None
                one = boundary(record, data=data, cells=CELLS)
            except HarnessError as error:
                missing.append(str(error))
                continue
            figure, axes = style.canvas()
            figure.about = record.run_id
            draw_boundary(axes, one)
            alt = f"Decision boundary of run {record.run_id[:8]}, {title}"
            if "accuracy/val" in record.summary:
                alt += f"; {record.summary['accuracy/val']:.1%} of validation on its side"
            panels.append(style.panel(figure, title=title, alt=f"{alt}.", prefix=f"b{place}-"))
    if not records:
        return None
    return style.Figure(
        name="boundaries", title="Decision boundaries", panels=panels, key=SIDES,
        caption=f"The output over the plane, stronger where it is larger. {which} Training points "
        f"are filled, validation points hollow, at most {POINTS} of each.",
        note=_note(missing),
    )  # fmt: skip


def insides_figures(swept: Swept) -> list[style.Figure]:
    """The layers of the best run, and the start of the run that starts worst, where it is bad."""
    best = next((one for one in swept.standings if one.best_run is not None), None)
    if best is None:
        return []
    places = {run_id: at for at, run_id in enumerate(swept.runs["run_id"])}
    at = places[best.best_run]
    worst = _worst_start(swept, at)
    records = _whole(swept, [swept.runs.at[i, "run_id"] for i in (at, worst) if i >= 0])
    found = [
        _insides(swept, records, at, ("start", "end")),
        _insides(swept, records, worst, ("start",)) if worst >= 0 else None,
    ]
    return [one for one in found if one is not None]


def _insides(
    swept: Swept, records: Mapping[str, RunRecord], at: int, when: Sequence[When]
) -> style.Figure | None:
    record = records.get(swept.runs.at[at, "run_id"])
    if record is None:
        return None
    pictures, notes = inside_pictures(record, when=when)
    if not pictures:
        return None
    whole = "end" in when
    name = "insides" if whole else "insides-start"
    with style.draw():
        panels = []
        for place, picture in enumerate(pictures):
            figure = Drawing(figsize=(style.WIDTH, style.HEIGHT))
            figure.about = record.run_id
            picture.draw(figure)
            prefix = f"{'in' if whole else 'is'}{place}-"
            panels.append(style.panel(figure, title=picture.title, alt=picture.alt, prefix=prefix))
    words = settings_words(swept, at)
    about = f"{ABOUT} {_saturated(record)}" if whole else _start_words(swept, at)
    if any(picture.title == EMBEDDING for picture in pictures):
        about += EMBEDDED
    caption = f"Run `{record.run_id[:8]}`{', ' if words else ''}{words}. {about.strip()}"
    of = f" with {record.config.loss.name}" if swept.ranking.yardstick.apart else ""
    title = f"Inside the best run{of}" if whole else "Inside the worst start"
    return style.Figure(name=name, title=title, panels=panels, caption=caption, note=_note(notes))


def _saturated(record: RunRecord) -> str:
    """What counts as saturated, where anything does."""
    name = record.config.model.activation
    spec = ACTIVATIONS.get(name) if name in ACTIVATIONS else None
    if spec is None or spec.saturated is None:
        return ""
    how = f" ({spec.fault})" if spec.fault else ""
    return f"Orange: units of `{name}` that pass almost no gradient{how}, by example. "


def _start_words(swept: Swept, at: int) -> str:
    ratio = float(start_ratio(swept)[at])
    return f"Before its first step it costs {number(ratio)} times what equal logits cost."


def _worst_start(swept: Swept, best: int) -> int:
    """The place of the run that starts worst; -1 where none is far worse than the best run."""
    ratio = start_ratio(swept)
    if not len(ratio):
        return -1
    worst = int(ratio.idxmax())
    limit = WORSE * max(float(ratio.get(best, 1.0)), 1.0)
    return worst if float(ratio[worst]) > limit else -1


def _boundary_runs(swept: Swept) -> tuple[dict[str, str], str]:
    """Run id -> title of each panel, and the choice in words.

    The best run at each level of the setting that matters most; where losses are not comparable, of
    each loss. Where that would be too many panels, of each loss alone.
    """
    apart, metric = swept.ranking.yardstick.apart, swept.ranking.yardstick.metric
    names = [name for name in swept.influence if name != "loss.name" or not apart][:1]
    keys = [swept.keys[name] for name in (["loss.name"] if apart else []) + names]
    if apart and len(keys[0].labels) * len(keys[-1].labels) > LEVELS + 1:
        keys = keys[:1]
    best: dict[tuple[int, ...], Standing] = {}
    for one in swept.standings:
        if one.best_run is not None:
            best.setdefault(tuple(int(key.codes[one.places[0]]) for key in keys), one)
    cells, out = sorted(best), {}
    for cell in [cells[i] for i in most(len(cells), LEVELS + apart)]:
        of = ", ".join(f"{k.short}={k.labels[i]}" for k, i in zip(keys, cell, strict=True))
        value = number(best[cell].value.mean or 0.0)
        out[str(best[cell].best_run)] = f"{of}: {value}" if of else f"{metric}: {value}"
    over = " and ".join(f"`{key.name}`" for key in keys)
    which = f"The best run at each value of {over}" if keys else "The best run"
    last = swept.standings[-1]
    if not apart and last.best_run is not None and str(last.best_run) not in out:
        words = settings_words(swept, last.places[0], short=True).replace("`", "")
        out[str(last.best_run)] = f"worst, {words}: {number(last.value.mean or 0.0)}"
        which += ", and that of the worst configuration"
    return out, f"{which}, with the mean `{metric}` of its configuration."


def _whole(swept: Swept, run_ids: Sequence[str]) -> Mapping[str, RunRecord]:
    """These runs, or those of them that can still be read."""
    try:
        return swept.table.load_records(run_ids)
    except HarnessError:  # written by a version that this one does not understand
        return {}


def _binary(swept: Swept) -> bool:
    """Whether every run's source gives labelled points."""
    names = set(swept.runs["data.name"]) if "data.name" in swept.runs else set()
    return bool(names) and all(n in SOURCES and SOURCES.get(n).kind == "binary" for n in names)


def _note(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    first = missing[0][0].upper() + missing[0][1:]
    more = f" ({len(missing) - 1} more alike)" if len(missing) > 1 else ""
    return first + more
