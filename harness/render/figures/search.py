"""A search as figures: the best so far over trials, and slices along each setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.config.labels import short_name
from harness.numerics.digits import number
from harness.render.figures import style
from harness.render.figures.selection import most

if TYPE_CHECKING:
    from harness.records.searches import Study, Trial
    from harness.render.figures.marks import Drawing

SLICES = 6  # settings drawn, the most important first
CHOICES = 12  # values of a choice that are named
DOT = {"markersize": 3.4, "alpha": 0.85, "markeredgewidth": 0}
OVER = {"markersize": 3.4, "alpha": 0.7, "markeredgewidth": 0}


def history_figure(found: Study, unit: str) -> style.Figure | None:
    """Every trial's value and the best so far over the number of trials; None without values."""
    values = np.array([trial.worth for trial in found.told])
    if not np.isfinite(values).any():
        return None
    low, high = _limits(values)
    x = np.arange(1, len(values) + 1)
    with style.draw():
        figure, axes = style.canvas(right=style.room_for(["best so far"]), width=6.0)
        _dots(axes, x, values, high)
        _tell(figure, axes, found, (x, np.minimum(values, high)), found.told)
        best = np.minimum(np.array(found.best_so_far()), high)
        axes.step(x, best, where="post", color=style.OKABE_ITO[0])
        n = 0
        for batch in found.batches[:-1]:
            n += len(batch)
            axes.axvline(n + 0.5, color=style.GRID, linewidth=0.7, zorder=0.5)
        _frame(axes, low, high)
        axes.set_xlim(0, len(values) + 1)
        axes.set_xlabel("trial")
        axes.set_ylabel(f"{found.metric} ({unit})")
        style.label_ends(axes, [(float(best[-1]), "best so far", style.OKABE_ITO[0])])
        alt = (
            f"{found.metric} of {len(values)} trials; the best so far falls from "
            f"{number(float(best[0]), 4)} to {number(float(best[-1]), 4)}."
        )
        panels = [style.panel(figure, title="", alt=alt, prefix="sh-")]
    lost = int((~np.isfinite(values)).sum())
    return style.Figure(
        name="search-history", title="The best so far", panels=panels,
        caption=f"`{found.metric}` of every trial (dots, mean over its seeds) in the order of the "
        "search, and the lowest so far (line). Thin lines separate the batches: the first is an "
        "even design, each later one was chosen from all before it."
        + (f" {lost} trial{'' if lost == 1 else 's'} diverged." if lost else ""),
        note="Triangles: trials above the upper edge, or diverged.",
    )  # fmt: skip


def slices_figure(found: Study, unit: str) -> style.Figure | None:
    """A panel a setting: every trial's value over it; None where no setting is known."""
    kinds = {str(one["key"]): one for one in found.dimensions}
    by_share = sorted(kinds, key=lambda key: -found.importances.get(key, 0.0))
    values = np.array([trial.worth for trial in found.told])
    if not kinds or not np.isfinite(values).any():
        return None
    limits = _limits(values)
    with style.draw():
        panels = [
            _slice(found, kinds[key], limits, unit, f"ss{place}-")
            for place, key in enumerate(by_share[:SLICES])
            if any(key in trial.params for trial in found.told)
        ]
    rest = len(by_share) - len(panels)
    return style.Figure(
        name="search-slices", title="Slices", panels=panels,
        caption=f"`{found.metric}` of every trial over one setting at a time, the most important "
        "first; from yellow to violet as the search went on. The ring marks the best."
        + (f" {rest} more settings are not drawn." if rest else ""),
        note="Triangles: trials above the upper edge, or diverged. A trial without the setting has "
        "no dot.",
    )  # fmt: skip


def _slice(
    found: Study, kind: Mapping[str, Any], limits: tuple[float, float], unit: str, prefix: str
) -> style.Panel:
    key, (low, high) = str(kind["key"]), limits
    part = [(n, trial) for n, trial in enumerate(found.told) if key in trial.params]
    values = np.array([trial.worth for _, trial in part])
    figure, axes = style.canvas()
    choices = [str(choice) for choice in kind["choices"]]
    x = _places(part, key, choices)
    tones = style.VIRIDIS[::-1]
    age = np.array([n * len(tones) // max(len(found.told), 1) for n, _ in part])
    for level, tone in enumerate(tones):
        mine = age == level
        _dots(axes, x[mine], values[mine], high, tone)
    _tell(figure, axes, found, (x, np.minimum(values, high)), [trial for _, trial in part])
    best = found.best()
    if best is not None and key in best.params:
        at = _places([(0, best)], key, choices)
        axes.plot(
            at, [best.worth], "o", markersize=8, markerfacecolor="none", color=style.OKABE_ITO[1]
        )
    _frame(axes, low, high)
    if choices:
        shown = most(len(choices), CHOICES)
        style.name_ticks(axes, shown, [choices[i] for i in shown])
        axes.set_xlim(-0.6, len(choices) - 0.4)
    elif kind["log"]:
        style.log_axis(axes, "x", kind["low"] / 1.15, kind["high"] * 1.15)
    axes.set_xlabel(key)
    axes.set_ylabel(f"{found.metric} ({unit})")
    share = found.importances.get(key)
    title = short_name(key) + ("" if share is None else f": {share:.0%} of the variance")
    alt = f"{found.metric} of {len(part)} trials over {key}."
    if best is not None and key in best.params:
        alt += f" The best is at {best.params[key]}."
    return style.panel(figure, title=title, alt=alt, prefix=prefix)


def _tell(
    figure: Drawing, axes: Any, found: Study, spots: tuple[Any, Any], trials: Sequence[Trial]
) -> None:
    figure.what = found.metric
    values = [number(trial.worth, 4) for trial in trials]
    figure.note(axes, *spots, [trial.runs for trial in trials], values)


def _places(part: Sequence[tuple[int, Trial]], key: str, choices: Sequence[str]) -> Any:
    if not choices:
        return np.array([float(trial.params[key]) for _, trial in part])
    shift = np.random.default_rng(0).uniform(-0.13, 0.13, len(part))  # so that dots stand apart
    own = [choices.index(str(trial.params[key])) for _, trial in part]
    return np.array(own) + (shift if len(part) > 1 else 0.0)


def _dots(axes: Any, x: Any, values: Any, high: float, tone: str = style.OKABE_ITO[5]) -> None:
    over = ~(values <= high)
    axes.plot(x[~over], values[~over], "o", color=tone, **DOT)
    axes.plot(x[over], np.full(int(over.sum()), high), "^", color=style.OKABE_ITO[1], **OVER)


def _limits(values: Any) -> tuple[float, float]:
    """From the best to the worst but a tenth, so that bad trials do not flatten the rest."""
    known = values[np.isfinite(values)]
    low = float(known.min())
    return low, max(float(np.quantile(known, 0.9)), low + 1e-3 * max(1.0, math.fabs(low)))


def _frame(axes: Any, low: float, high: float) -> None:
    pad = 0.06 * (high - low)
    axes.set_ylim(low - pad, high + pad)
