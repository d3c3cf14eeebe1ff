"""The loss before the first step: what theory expects, what was measured, over the weight scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.effects import Swept, config_of, explained
from harness.analysis.levels import Key
from harness.config.keys import rule_of
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.render.equal import EQUALS
from harness.render.figures import style
from harness.render.figures.expected import DASHES, SCALE, expected_over, unit_of
from harness.render.figures.selection import equal_levels, most, name_of, names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.render.figures.marks import Drawing


THEORY_LINES = 12  # drawn as smooth curves up to here; beyond, straight between the swept scales
MOST_DOTS = 600  # of one colour in one panel: more hide each other and make a page heavy


def initial_loss_figure(swept: Swept) -> style.Figure | None:
    """Panels of initial loss, one a loss: lines expected, dots measured; None without the metrics.

    Over the weight scale where it varies, else over the numeric init setting that moves the start
    most, else measured against expected.
    """
    measured = swept.known("init/loss_measured")
    measured = measured[measured > 0]
    if not len(measured):
        return None
    there = swept.runs.index.isin(measured.index)
    losses, scale = swept.keys.get("loss.name"), _scale_key(swept)
    groups: list[tuple[str, Any]] = [(name_of(swept.runs, "loss.name"), there)]
    if losses is not None:
        groups = [
            (names_of(losses, same), there & (losses.codes == same[0]))
            for same in equal_levels(swept, losses)
        ]
        groups = [(label, mask) for label, mask in groups if mask.any()][:8]
    if scale is None and "init/loss_expected" not in swept.runs:
        return None
    other = _second_key(swept, [k for k in (scale, losses) if k is not None])
    keys = scale, other
    lines = len(groups) * (len(other.labels) if other else 1)
    with style.draw():
        panels = [
            _panel(swept, mask, keys, label, prefix=f"i{n}-", smooth=lines <= THEORY_LINES)
            for n, (label, mask) in enumerate(groups)
        ]
    what = f"over `{scale.name}`" if scale else "against the expected one"
    lines_are = "what theory expects of the settings alone" if scale else "measured = expected"
    zero = scale is not None and 0 in scale.values
    thinned = len(measured) > MOST_DOTS
    return style.Figure(
        name="initial-loss",
        title="The loss before the first step",
        caption=f"Initial loss of {'the runs' if thinned else 'every run'} (dots) {what}, in the "
        f"loss's own units, log axes. Lines: {lines_are}. Dashed: all logits equal."
        + (f" Colours: `{other.name}`." if other else "")
        + (f" At most {MOST_DOTS:,} of a colour are drawn." if thinned else ""),
        panels=panels,
        note="A zero has no place on a log axis and is left out." if zero else "",
    )


def _scale_key(swept: Swept) -> Key | None:
    """The init setting to draw over: weight_scale, or the number that moves the start most."""
    own = [k for k in swept.keys.values() if k.name.startswith("init.") and k.numeric]
    own = [k for k in own if max(k.values) > 0 and not k.binned]
    found = next((k for k in own if k.name == SCALE), None)
    if found is None and own:
        moves = swept.influence_on("init/loss_measured", log=True)
        found = max(
            (k for k in own if moves[k.name] > 0.01), key=lambda k: moves[k.name], default=None
        )
    return found


def _second_key(swept: Swept, known: Sequence[Key]) -> Key | None:
    """What else moves the start, once these settings are accounted for; None where little does."""
    values = swept.known("init/loss_measured")
    values = values[values > 0]
    at, logs = values.index.to_numpy(), np.log(values.to_numpy())
    cell = np.zeros(len(at), np.int64)
    for key in known:
        cell = cell * len(key.labels) + key.codes[at]
    means = np.bincount(cell, weights=logs) / np.maximum(np.bincount(cell), 1)
    rest = logs - means[cell]
    groups = ("init.", "model.", "data.", "loss.")
    shares = {
        key.name: explained(rest, key.codes[at])
        for key in swept.keys.values()
        if key not in known and key.name.startswith(groups)
    }
    name = max(shares, key=lambda n: shares[n], default="")
    return swept.keys[name] if name and shares[name] > 0.1 else None


@dataclass
class _Drawn:
    """What a panel has come to hold: values for its limits, line ends for its labels."""

    seen: list[float] = field(default_factory=list)
    ends: list[tuple[float, str, str]] = field(default_factory=list)


def _panel(
    swept: Swept, mask: Any, keys: tuple[Key | None, Key | None], loss: str, *, prefix: str,
    smooth: bool,
) -> style.Panel:  # fmt: skip
    (scale, other), runs = keys, swept.runs[mask]
    levels = most(len(other.labels), 6) if other else [0]
    labels = [f"{other.short}={other.labels[i]}" for i in levels] if other else ["expected"]
    figure, axes = style.canvas(right=style.room_for([*labels, "equal logits"]))
    drawn = _Drawn()
    tones = style.colours(bool(other and other.numeric), len(levels))
    for tone, level, label in zip(tones, levels, labels, strict=True):
        part = runs[other.codes[mask] == level] if other else runs
        x = part[scale.name if scale else "init/loss_expected"].astype(float)
        part, x = part[x > 0], x[x > 0]
        y = part["init/loss_measured"].to_numpy(float)
        _draw_dots(figure, axes, part, x.to_numpy(), tone)
        drawn.seen += [*y, *([] if scale else x)]
        line = _expected(part, scale, smooth=smooth) if scale and len(part) else None
        if line is not None:
            axes.plot(*line, color=tone, zorder=1.5)
            drawn.seen += list(line[1])
            drawn.ends.append((float(line[1][-1]), label, tone))
        elif scale is None and other and len(part):
            drawn.ends.append((float(np.median(y)), label, tone))
    _equal_logits(axes, runs, drawn)
    unit = unit_of(loss.partition(EQUALS)[0])
    low, high = min(drawn.seen) / 1.15, max(drawn.seen) * 1.15
    style.log_axis(axes, "y", low, high)
    over = f" over {scale.name} from {scale.labels[0]} to {scale.labels[-1]}" if scale else ""
    if scale:
        spots = [v for v in scale.values if v > 0]
        if scale.logarithmic:
            style.log_axis(axes, "x", min(spots) / 1.25, max(spots) * 1.25, spots)
        axes.set_xlabel(f"{scale.name} ({rule_of(scale.name).get('unit') or 'value'})")
    else:
        style.log_axis(axes, "x", low, high)
        axes.plot([low, high], [low, high], color=style.FAINT, linewidth=1, zorder=1)
        axes.set_xlabel(f"expected initial loss ({unit})")
    axes.set_ylabel(f"initial loss ({unit})")
    style.label_ends(axes, drawn.ends)
    measured = runs["init/loss_measured"]
    alt = (
        f"Initial {loss} of {len(runs)} runs{over}: {number(float(measured.min()))} to "
        f"{number(float(measured.max()))} {unit}."
    )
    return style.panel(figure, title=loss, alt=alt, prefix=prefix)


def _draw_dots(figure: Drawing, axes: Axes, part: Any, x: Any, tone: str) -> None:
    """A dot a start: runs that begin alike are one dot, and at most MOST_DOTS are drawn."""
    y, ids = part["init/loss_measured"].to_numpy(float), part["run_id"].tolist()
    alike: dict[tuple[float, float], list[int]] = {}
    for i, spot in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        alike.setdefault(spot, []).append(i)
    spots = [list(alike)[i] for i in most(len(alike), MOST_DOTS)]
    across, up = [a for a, _ in spots], [b for _, b in spots]
    axes.plot(across, up, "o", color=tone, markersize=3.6, alpha=0.75, markeredgewidth=0)
    known = part["init/loss_expected"].tolist() if "init/loss_expected" in part else []
    where = [f"expected {number(known[alike[spot][0]], 4)}" for spot in spots] if known else []
    figure.what = "initial loss"
    runs = [[ids[i] for i in alike[spot]] for spot in spots]
    figure.note(axes, across, up, runs, [number(b, 4) for b in up], where)


def _equal_logits(axes: Axes, runs: Any, drawn: _Drawn) -> None:
    """The dashed line of a network without an opinion, where all these runs share it."""
    if "init/loss_uniform" in runs and runs["init/loss_uniform"].nunique() == 1:
        uniform = float(runs["init/loss_uniform"].dropna().iloc[0])
        axes.axhline(uniform, color=style.FAINT, linewidth=1, linestyle=DASHES)
        drawn.seen.append(uniform)
        drawn.ends.append((uniform, "equal logits", style.FAINT))


def _expected(part: Any, scale: Key, *, smooth: bool) -> tuple[Any, Any] | None:
    """(x, y) of the expected initial loss: from theory where data are at hand, else as logged."""
    if "init/loss_expected" not in part or not part["init/loss_expected"].notna().any():
        return None
    logged = part.assign(x=part[scale.name].astype(float)).groupby("x")["init/loss_expected"].mean()
    logged = logged.dropna()
    if smooth and len(logged) > 1 and scale.logarithmic:
        try:
            run = config_of(part.iloc[0].to_dict())
            x = np.geomspace(logged.index[0], logged.index[-1], 17)
            y = expected_over(run, scale.name, x.tolist())
        except (HarnessError, OSError):
            y = []
        at = np.exp(np.interp(np.log(logged.index), np.log(x), np.log(y))) if y else np.inf
        if np.allclose(at, logged, rtol=0.1):  # the same data and theory as when it was logged
            return x, np.array(y)
    return logged.index.to_numpy(), logged.to_numpy()
