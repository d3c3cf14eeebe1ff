"""Expected initial loss over the weight scale, before anything is trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.effects import Swept, config_of
from harness.components.losses import LOSSES
from harness.config.groups import Reg
from harness.config.labels import text
from harness.config.run import RunConfig
from harness.errors import ConfigError
from harness.paths import check_picture
from harness.render.figures import style
from harness.render.figures.marks import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.table import SweepTable
    from harness.data.dataset import Dataset

SCALE = "init.weight_scale"
SCALES = tuple(float(f"{x:.4g}") for x in np.geomspace(0.01, 30, 25))
DASHES = (0, (4, 3))


def unit_of(loss: str) -> str:
    """The unit of a loss as an axis prints it."""
    return (LOSSES.get(loss).unit if loss in LOSSES else "") or "own units"


def expected_over(
    run: RunConfig, key: str, values: Sequence[float], data: Dataset | None = None
) -> list[float]:
    """Expected initial loss of a config with one init setting at each of these values, or nan."""
    from harness.data.dataset import load_data
    from harness.theory.initial_loss import expected_initial_loss

    data = data or load_data(run.data)
    out = []
    for value in values:
        change: dict[str, Any] = {key.removeprefix("init."): float(value)}
        init = dataclasses.replace(run.init, **change)
        expected = expected_initial_loss(dataclasses.replace(run, init=init), data).expected
        out.append(math.nan if expected is None else expected)
    return out


def plot_initial_loss(
    path: str | Path, run: RunConfig | None = None, losses: Sequence[str] = (), *,
    table: SweepTable | None = None, scales: Sequence[float] = SCALES,
) -> Path:  # fmt: skip
    """Draw expected initial loss to a file, as `start_drawing` does.

    The suffix of `path` (svg, png, pdf) decides the kind. ConfigError for another one.
    """
    path = Path(path)
    check_picture("--plot", str(path))
    figure = start_drawing(run, losses, table=table, scales=scales)
    style.save(figure, path)
    return path


def start_drawing(
    run: RunConfig | None = None, losses: Sequence[str] = (), *,
    table: SweepTable | None = None, scales: Sequence[float] = SCALES,
) -> Drawing:  # fmt: skip
    """Expected initial loss against init.weight_scale, a panel a loss.

    run: the other settings (default: those of the table's first run, else all defaults); losses:
    names, default the run's own, or those in `table`. Dots: measured initial losses of the table's
    runs that start as `run` does but for the scale. ConfigError for an unknown loss.
    """
    from harness.data.dataset import load_data
    from harness.theory.initial_loss import expected_initial_loss

    dots = None
    if table is not None and len(table.runs):
        run = run or config_of(table.runs.iloc[0].to_dict())
        dots = _alike(Swept(table), run)
    run = run or RunConfig()
    names = list(losses) or [run.loss.name]
    if not losses and dots is not None and "loss.name" in dots:
        names = list(dict.fromkeys(dots["loss.name"]))
    kind = run.data.spec.kind
    for name in names:
        if LOSSES.get(name).kind != kind:
            able = ", ".join(LOSSES.having(kind=kind))
            raise ConfigError(f"loss {name!r} does not fit data={run.data.name}; allowed: {able}.")
    data = load_data(run.data)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with style.draw():
        size = (style.WIDTH * columns, (style.HEIGHT + 0.25) * rows)
        figure = Drawing(figsize=size, layout="constrained")
        for place, name in enumerate(names):
            own = run.loss.params if name == run.loss.name else {}
            loss = dataclasses.replace(run.loss, name=name, params=own)
            one = dataclasses.replace(run, loss=loss, reg=Reg())
            expected = expected_over(one, SCALE, scales, data)
            uniform = expected_initial_loss(one, data).uniform or float("nan")
            axes = figure.add_subplot(rows, columns, place + 1)
            _draw_one(axes, np.array(scales), np.array(expected), uniform, name, dots)
    return figure


def _alike(swept: Swept, run: RunConfig) -> Any:
    """Finished runs that share with `run` what shapes the start, but for weight scale and loss."""
    own, runs = run.flat(), swept.runs
    keep = np.ones(len(runs), bool)
    for name in swept.keys:
        if name.startswith(("init.", "model.", "data.", "loss.")) and name not in (
            SCALE,
            "loss.name",
        ):
            keep &= np.array([text(value) == text(own.get(name)) for value in runs[name]])
    return runs[keep]


def _draw_one(axes: Axes, xs: Any, ys: Any, uniform: float, name: str, dots: Any) -> None:
    seen = [float(y) for y in (*ys, uniform) if math.isfinite(y)]
    if np.isfinite(ys).any():
        axes.plot(xs, ys, color=style.OKABE_ITO[0], label="expected")
    if math.isfinite(uniform):
        axes.axhline(
            uniform, color=style.FAINT, linewidth=1, linestyle=DASHES, label="equal logits"
        )
    if dots is not None and "init/loss_measured" in dots:
        mine = dots[(dots["loss.name"] == name) & (dots["init/loss_measured"] > 0)]
        x, y = mine[SCALE].astype(float), mine["init/loss_measured"].astype(float)
        if len(y):
            tone = style.OKABE_ITO[1]
            axes.plot(x, y, "o", color=tone, markersize=4, alpha=0.7, label="measured")
            seen += y.tolist()
    style.log_axis(axes, "x", float(xs.min()) / 1.1, float(xs.max()) * 1.1)
    if seen:
        style.log_axis(axes, "y", min(seen) / 1.15, max(seen) * 1.15)
    if not np.isfinite(ys).any():
        words = "no expected loss: these components state none"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", fontsize=8)
    axes.set_title(name, loc="left", fontsize=9, fontweight="bold")
    axes.set_xlabel(f"{SCALE} (multiple of the scheme's std)")
    axes.set_ylabel(f"initial loss ({unit_of(name)})")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
