"""`harness report`: one sweep as one HTML file that needs nothing else, to read, print and send.

The page is made of what the table of runs holds: figures appear where their settings were swept
and their metrics are there. Text comes from findings, drawings from figures, looks from
templates/report.html.j2.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup

from harness.analysis import choices, findings
from harness.analysis.effects import Swept, config_of
from harness.analysis.remarks import about_machines
from harness.components.metrics import heading, in_order, metric_of
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.render import report_tables as tables
from harness.render.figures.chosen import boundaries_figure, insides_figures
from harness.render.figures.curves import curve_figure
from harness.render.figures.heat import heat_figure
from harness.render.figures.maps import map_figure
from harness.render.figures.path import path_figure
from harness.render.figures.search import history_figure, slices_figure
from harness.render.figures.settings import settings_figure
from harness.render.figures.start import initial_loss_figure
from harness.render.figures.style import Figure
from harness.render.told import SCRIPT, policy, told

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable

TEMPLATES = Path(__file__).parent / "templates"
STARTS = ("init.weight_scale", "init.output_scale", "init.scheme", "init.embed_scale")


def build(table: SweepTable) -> str:
    """The page of a table of runs, as HTML text."""
    table = _without_folders(table)
    swept = Swept(table)
    floors = floors_of(swept)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"marked": marked, "number": number}
    leaders = tables.leaders(swept)
    figures = figures_of(swept, floors)
    panels = [panel for part in figures.values() for figure in part for panel in figure.panels]
    page = environment.get_template("report.html.j2")
    return page.render(
        title=f"Sweep {str(table.meta.get('sweep_id') or 'of runs')[:8]}",
        size=findings.size(swept),
        when=_when(table.meta),
        named=str(table.meta.get("named") or ""), note=str(table.meta.get("note") or ""),
        tags=table.meta.get("tags") or {},
        headline=findings.headline(swept, floors),
        keys=[
            {"name": k.name, "values": ", ".join(k.labels), "share": swept.influence.get(k.name)}
            for k in swept.keys.values()
        ],
        figures=figures, told=told(panels, swept), script=SCRIPT, policy=policy(),
        warnings=tables.start_warnings(swept),
        metric=swept.metric, unit=swept.unit,
        search=choices.about_search(table), confirmations=tables.confirmations(swept),
        confirms=table.meta.get("confirms") or {},
        leaders=leaders, shown=tables.ROWS, leaderboard=tables.caption(swept, leaders),
        columns={name: heading(name) for name in tables.columns(swept)},
        verdicts=tables.verdicts(swept), diverged=tables.diverged(swept),
        failed=tables.failed(swept),
        floors=[(n, floors[n], metric_of(n).summary) for n in in_order(floors)],
        data=tables.data(swept), machine=tables.machine(table.meta),
        kinds=about_machines(table), settings=tables.shared(swept),
        overrides=[
            shlex.quote(tables.without_folder(str(o))) for o in table.meta.get("overrides") or ()
        ],
    )  # fmt: skip


def _without_folders(table: SweepTable) -> SweepTable:
    """Where several files were swept, they go by their names: a page names no folder."""
    if "data.path" not in table.varying:
        return table
    names: dict[str, str] = {}
    for path in filter(None, table.runs["data.path"]):
        name = Path(path).name
        if path not in names:
            taken = sum(other == name or other.startswith(f"{name} (") for other in names.values())
            names[path] = f"{name} ({taken + 1})" if taken else name
    written = [names.get(path) for path in table.runs["data.path"]]
    runs = table.runs.assign(**{"data.path": np.array(written, dtype=object)})
    return dataclasses.replace(table, runs=runs, load_curves=lambda: table.curves)


def write(table: SweepTable, path: str | Path) -> Path:
    """Write the page to a file; HarnessError where that is not possible."""
    path = Path(path)
    page = build(table)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def figures_of(swept: Swept, floors: Mapping[str, float]) -> dict[str, list[Figure]]:
    """Figures by part of the page: start, curves, maps, path; those without data are left out."""
    keys, metric = swept.keys, swept.metric or ""
    names = [n for n in swept.influence if n != "loss.name"]
    main = keys.get("reg.strength") or (keys[names[0]] if names else None)
    starts = [keys[n] for n in STARTS if n in keys and keys[n] is not main]
    of = swept.unit
    found = choices.study(swept.table)
    drawn: dict[str, list[Figure | None]] = {
        "start": [initial_loss_figure(swept)],
        "curves": [
            curve_figure(swept, main, floors, name="curves", title="Learning curves"),
            *(
                curve_figure(swept, key, floors, name="curves-by-start", title="Curves by start")
                for key in starts[:1]
            ),
        ],
        "search": [history_figure(found, of), slices_figure(found, of)] if found else [],
        "settings": [] if found else [settings_figure(swept, floors)],
        "maps": [picture]
        if (picture := map_figure(swept))
        else [
            heat_figure(swept, metric, name="best-validation", title="Best validation", unit=of),
            heat_figure(swept, "gap/nll", name="gap", title="Validation minus training", unit=of),
        ],
        "path": [path_figure(swept, floors)],
        "insides": [boundaries_figure(swept), *insides_figures(swept)],
    }
    return {part: [f for f in figures if f is not None] for part, figures in drawn.items()}


def floors_of(swept: Swept) -> dict[str, float]:
    """Floors of the sweep: as logged, else counted anew where the very same data are at hand."""
    floors = {k: float(v) for k, v in (swept.meta.get("floors") or {}).items()}
    if floors or not len(swept.runs) or any(n.startswith("data.") for n in swept.table.varying):
        return floors
    from harness.data.baselines import floors as count_floors
    from harness.data.dataset import load_data

    try:
        data = load_data(config_of(swept.runs.iloc[0].to_dict()).data)
    except (HarnessError, OSError):
        return {}
    known = (swept.meta.get("data") or {}).get("sha256")
    return {} if known and known != data.sha256 else count_floors(data)


def _when(meta: Mapping[str, Any]) -> str:
    created = meta.get("created")
    if not isinstance(created, (int, float)):
        return ""
    return dt.datetime.fromtimestamp(created, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def marked(words: str) -> Markup:
    """`code` and **strong** as HTML; all else escaped."""
    safe = html.escape(words)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))  # noqa: S704 - escaped above
