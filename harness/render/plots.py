"""`harness.plot`: runs, starts and comparisons as matplotlib figures, for notebooks and papers.

figure = plot(records)                  # learning curves
figure.savefig("curves.pdf")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.analysis.comparison import Comparison
from harness.analysis.table import SweepTable, table_of
from harness.components.metrics import metric_of
from harness.config.labels import nll_unit, short_names, text
from harness.config.run import RunConfig, varying
from harness.errors import ConfigError, shown
from harness.records.record import RunRecord
from harness.render.figures import style
from harness.render.figures.curves import after_the_start, frame
from harness.render.figures.expected import start_drawing
from harness.render.figures.marks import Drawing
from harness.render.figures.selection import most

LINES = 12  # runs drawn in one figure of curves
ROWS = 40  # of a comparison, best first
SPLITS = {"val": "validation", "train": "training"}
ALLOWED = "a RunRecord, a list of them, a comparison, a RunConfig or a table that read_sweep gives"


def plot(
    what: RunRecord | Sequence[RunRecord] | Comparison | RunConfig | SweepTable, *,
    start: bool = False, metric: str = "nll",
) -> Drawing:  # fmt: skip
    """A matplotlib figure of what is given; a notebook shows it, `savefig` writes it.

    Records: learning curves of `metric` ("nll", "loss", or a series by its whole name), validation
    solid and training dashed, at most 12 of the runs; with `start`, their first losses beside the
    expected ones over the weight scale. A table of runs or a RunConfig: the same of their start. A
    comparison: mean and 95 % interval of its headline, the first 40 rows. ConfigError for
    anything else, and for a metric that none of the runs has.
    """
    if isinstance(what, Comparison):
        return _comparison(what)
    if isinstance(what, RunConfig):
        return start_drawing(what)
    if isinstance(what, SweepTable):
        return start_drawing(table=what)
    records = [what] if isinstance(what, RunRecord) else what
    if not _are_records(records):
        raise ConfigError(f"plot is given {shown(what)}; allowed: {ALLOWED}.")
    return start_drawing(table=table_of(records)) if start else _curves(records, metric)


def _are_records(given: Any) -> bool:
    whole = isinstance(given, (list, tuple)) and len(given) > 0
    return whole and all(isinstance(one, RunRecord) for one in given)


def _curves(records: Sequence[RunRecord], metric: str) -> Drawing:
    names = [f"{metric}/val", f"{metric}/train", metric]
    names = [n for n in names if any(n in one.series for one in records)]
    if not names:
        known = ", ".join(dict.fromkeys(n for one in records for n in one.series))
        raise ConfigError(f"metric is {shown(metric)}; the series of these runs: {known}.")
    chosen = [records[i] for i in most(len(records), LINES)]
    keys = varying([one.config for one in chosen])
    shorter = short_names(keys)
    flats = [one.config.flat() for one in chosen]
    labels = [", ".join(f"{shorter[k]}={text(f[k])}" for k in keys) or "" for f in flats]
    alone = len(chosen) == 1
    floors = _floors(records) if metric == "nll" else {}
    with style.draw():
        width = 6.0 + style.room_for([*labels, "validation", "counting (val)" if floors else ""])
        figure, axes = style.canvas(right=width - 6.0, width=width, height=3.8)
        ends, late = [], []
        tones = style.colours(numeric=len(chosen) > len(style.OKABE_ITO), count=len(chosen))
        for record, tone, label in zip(chosen, tones, labels, strict=True):
            own = [n for n in names if n in record.series]
            for name in own:
                steps, values = record.series[name]
                dashed = name.endswith("/train") and len(names) > 1
                axes.plot(steps, values, color=tone, linestyle=(0, (4, 2)) if dashed else "-",
                          linewidth=1.1 if dashed else 1.7)  # fmt: skip
                late += after_the_start(values)
            for name in own if alone else own[:1]:
                split = SPLITS.get(name.rpartition("/")[2], "")
                ends.append((float(record.series[name][1][-1]), split if alone else label, tone))
        unit = metric_of(names[0]).unit
        of_data = nll_unit(one.config.data.name for one in chosen)
        unit = {"nats": of_data, "loss": "own units"}.get(unit, unit)
        named = f"{metric} ({unit})" if unit else metric
        style.label_ends(axes, ends + frame(axes, late, floors, named)[1])
        if len(names) > 1 and not alone:
            box = axes.get_position()
            axes.set_position((box.x0, box.y0, box.width, box.height - 0.06))
            axes.set_title("solid: validation, dashed: training", loc="left", fontsize=8.5)
    return figure


def _floors(records: Sequence[RunRecord]) -> Mapping[str, float]:
    """The floors, where all these runs have the same."""
    own = [{n: v for n, v in one.summary.items() if n.startswith("floor/")} for one in records]
    return own[0] if all(one == own[0] for one in own) else {}


def _comparison(found: Comparison) -> Drawing:
    metric, shorter = found.headline, short_names(found.keys)
    rows = [row for row in found.rows if metric in row["metrics"]][:ROWS]
    if not rows:
        raise ConfigError(f"no row of the comparison has {metric}; there is nothing to draw.")
    labels = [
        ", ".join(f"{shorter[k]}={text(row['config'].get(k))}" for k in found.keys) or "all runs"
        for row in rows
    ]
    mean = np.array([row["metrics"][metric]["mean"] for row in rows])
    ends = [row["metrics"][metric]["ci95"] for row in rows]
    known = [i for i, pair in enumerate(ends) if pair]
    with style.draw():
        left, height = 0.3 + 0.072 * max(map(len, labels)), 0.9 + 0.24 * len(rows)
        width = left + 4.5
        figure = Drawing(figsize=(width, height))
        axes = figure.add_axes(
            (left / width, 0.5 / height, 1 - (left + 0.15) / width, 1 - 0.65 / height)
        )
        for i in known:
            axes.plot(ends[i], [i, i], color=style.OKABE_ITO[0], linewidth=1.6)
        axes.plot(mean, range(len(rows)), "o", color=style.OKABE_ITO[0], markersize=4.5)
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{metric}: mean{' and 95 % interval' if known else ''} ({found.unit})")
    return figure
