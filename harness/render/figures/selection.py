"""Which runs and lines a figure shows when there are more than fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.table import plain_rows
from harness.components.metrics import heading, shown_in
from harness.records.ranking import fingerprint
from harness.render.equal import equal_rows, joined
from harness.render.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.analysis.effects import Swept
    from harness.analysis.levels import Key


QUICK = ("nll/train", "init/loss_measured")  # runs that differ in these are not equal


def most(count: int, limit: int) -> list[int]:
    """Indices 0..count-1, thinned evenly to at most `limit`, both ends kept."""
    if count <= limit:
        return list(range(count))
    return sorted(set(np.linspace(0, count - 1, limit).round().astype(int).tolist()))


def name_of(runs: Any, key: str) -> str:
    """The value that all these runs share of a setting, as text; "" where there is none."""
    values = set(map(str, runs[key])) if key in runs else set()
    return values.pop() if len(values) == 1 else ""


def facets(swept: Swept, taken: Sequence[str], limit: int = 8) -> list[tuple[str, str, Any]]:
    """(title, heading, mask) of each panel: one a loss where losses vary, else one for all.

    Losses of the very same numbers share a panel.
    """
    key = swept.keys.get("loss.name")
    if key is None or "loss.name" in taken:
        return [("", "", np.ones(len(swept.runs), bool))]
    every = equal_levels(swept, key)
    shown = [every[i] for i in most(len(every), limit)]
    return [(key.labels[g[0]], f"loss={names_of(key, g)}", key.codes == g[0]) for g in shown]


def names_of(key: Key, levels: Sequence[int]) -> str:
    """Levels that gave the same numbers, as one name: "cross_entropy = nll"."""
    return joined(key.labels[i] for i in levels)


def equal_levels(swept: Swept, key: Key) -> list[list[int]]:
    """The levels of a setting, those together whose runs have the very same numbers."""
    names = [name for name in QUICK if name in swept.runs]
    quick = swept.runs[names].to_numpy(float)

    def first_look(level: int) -> bytes:
        return bytes(np.sort(quick[key.codes == level], axis=0).tobytes())

    looks = [first_look(level) for level in range(len(key.labels))]
    columns = ["run_id", "verdict", *swept.table.metrics]
    marks: list[Any] = list(range(len(key.labels)))
    for level, look in enumerate(looks):
        if names and looks.count(look) > 1:  # worth a look at every number
            rows = plain_rows(swept.runs[key.codes == level], columns)
            marks[level] = fingerprint(rows)
    return equal_rows(marks)


def floor_lines(axes: Axes, floors: Mapping[str, float]) -> list[tuple[float, str, str]]:
    """Draw the floors as thin dotted lines; their (y, label, colour) for label_ends."""
    ends = []
    for name in shown_in("figures", floors):
        axes.axhline(floors[name], color=style.FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
        ends.append((floors[name], heading(name), style.FAINT))
    return ends


def held_sentence(held: Mapping[str, Mapping[str, str]]) -> str:
    """What each panel (by its loss) holds fixed, as a sentence for the caption; "" for nothing."""
    words = {
        loss: ", ".join(f"`{name}={value}`" for name, value in fixed.items())
        for loss, fixed in held.items()
    }
    if not any(words.values()):
        return ""
    if len(set(words.values())) == 1:
        return f" Held: {next(iter(words.values()))}, as in the best configuration."
    same: dict[str, list[str]] = {}
    for loss, fixed in words.items():
        same.setdefault(fixed or "nothing", []).append(loss)
    parts = "; ".join(f"{', '.join(losses)}: {fixed}" for fixed, losses in same.items())
    return f" Held, as in the best configuration of each loss: {parts}."
