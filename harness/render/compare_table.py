"""A comparison as text: a table or a pivot that fits the width, and the remarks under it."""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from harness.analysis.comparison import Comparison
from harness.analysis.selection import sort_key
from harness.components.metrics import metric_of
from harness.config.labels import short_names, text
from harness.numerics.digits import fixed
from harness.numerics.folding import PLUS_MINUS
from harness.render.equal import EQUAL, equal_rows, joined
from harness.render.fitting import blocks, fit, settings_words

if TYPE_CHECKING:
    from harness.numerics.variance import Explained

LIMIT = 40  # rows of a table for people; --csv and --json have all


def rendered(found: Comparison, width: int = 80, *, limit: int = LIMIT) -> str:
    """The comparison, `width` columns wide, without colours."""
    out = io.StringIO()
    show(found, Console(file=out, width=width, highlight=False, color_system=None), limit=limit)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def show(found: Comparison, console: Console, *, limit: int = LIMIT) -> None:
    """Print the comparison; rows beyond `limit` are counted, not shown."""
    if len(found.by) == 2:
        _pivot(found, console)
    else:
        _table(found, console, limit)
    if found.differences is not None:
        console.print()
        _differences(found, console, limit)
    if found.explained is not None:
        console.print()
        _explained(found.explained, console)
    if found.remarks:
        console.print()
    for remark in found.remarks:
        _say(console, remark)


def _table(found: Comparison, console: Console, limit: int) -> None:
    names = [name for name in found.shown if any(name in row["metrics"] for row in found.rows)]
    groups = equal_rows(found.twins)
    equal = any(len(group) > 1 for group in groups[:limit])
    beyond = sum(map(len, groups[limit:]))
    groups = groups[:limit]
    rows = [found.rows[group[0]] for group in groups]
    cells = {name: [cell_text(row["metrics"].get(name), name) for row in rows] for name in names}
    labels = short_names(found.keys)
    settings = {
        key: [joined(text(found.rows[i]["config"].get(key)) for i in group) for group in groups]
        for key in found.keys
    }
    said = [verdict_text(found.verdicts[group[0]]) for group in groups]
    heads = {name: _header(name, cells[name]) for name in names}
    needs = [2 + _width([*heads[name].split("\n"), *cells[name]]) for name in names]
    ends = 2 + _width(["n", *(str(row["n"]) for row in rows)]) + _width(["verdict", *said])

    def taken() -> int:
        parts = [[*labels[key].split("\n"), *settings[key]] for key in found.keys]
        return sum(2 + _width(part) for part in parts)

    first = needs[0] if needs else 0
    if taken() + ends + first > console.width:  # two-line headings leave the headline its place
        labels = {key: _header(labels[key], settings[key]) for key in found.keys}
    used, wrap = taken(), False
    if used + ends + first > console.width:  # all settings in one column, which can wrap
        names_of = short_names(found.keys)
        words = [
            settings_words({names_of[key]: settings[key][i] for key in found.keys})
            for i in range(len(rows))
        ]
        labels, settings, wrap = {"": "settings"}, {"": words}, True
        used = 2 + max(_width(line.split() or [""]) for line in ["settings", *words])
    dealt = blocks(used + ends, needs, console.width, later=used)
    if not found.named:  # as many as fit beside the settings, the first in any case
        dealt = dealt[:1]
    for number, part in enumerate(dealt or [[]]):
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for label in labels.values():
            table.add_column(label, no_wrap=not wrap)
        if not number:
            table.add_column("n", justify="right", no_wrap=True)
        for place in part:
            table.add_column(heads[names[place]], justify="right", no_wrap=True)
        if not number:
            table.add_column("verdict", overflow="fold")
        for i, row in enumerate(rows):
            own = [settings[key][i] for key in labels]
            numbers = [cells[names[place]][i] for place in part]
            if not number:
                numbers = [str(row["n"]), *numbers, said[i]]
            table.add_row(*own, *numbers)
        if number:
            console.print()
        console.print(fit(table, console.width))
    told = [f"And {beyond:,} rows more: --csv or --json has all."] if beyond else []
    told += [found.order] if found.order else []
    told += [EQUAL] if equal else []
    told.append(
        f"Mean {PLUS_MINUS} over n runs (Student's t); {found.unit} unless the name says "
        "otherwise. --metric NAME shows others, --json has all."
    )
    _say(console, " ".join(told))


def _pivot(found: Comparison, console: Console) -> None:
    down, across = found.by
    heads = sorted({_held(row, across) for row in found.rows}, key=lambda v: sort_key(v[1]))
    sides = sorted({_held(row, down) for row in found.rows}, key=lambda v: sort_key(v[1]))
    at = {(_held(row, down)[0], _held(row, across)[0]): i for i, row in enumerate(found.rows)}
    labels = short_names(found.by)
    title = f"{found.headline} by {down} (down) and {across} (across)"
    corner = f"{labels[down]} \\ {labels[across]}"

    def cell(side: str, head: str) -> str:
        i = at.get((side, head))
        if i is None:
            return ""
        row = found.rows[i]
        rate = row["config"].get("optim.lr") if "optim.lr" not in found.by else None
        extra = f" @{text(rate)}" if rate is not None else ""
        return cell_text(row["metrics"].get(found.headline), found.headline) + extra

    columns = [[text(value), *(cell(side, head) for side, _ in sides)] for head, value in heads]
    first = 4 + _width([corner, *(text(value) for _, value in sides)])
    for number, part in enumerate(blocks(first, [2 + _width(c) for c in columns], console.width)):
        if not number:
            _say(console, title, style="bold")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold")
        table.add_column(corner, no_wrap=True)
        for place in part:
            table.add_column(columns[place][0], justify="right", no_wrap=True)
        for i, (_, value) in enumerate(sides, 1):
            table.add_row(text(value), *(columns[place][i] for place in part))
        console.print(table)
    counts = Counter(row["n"] for row in found.rows)
    each = "-".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else "0"
    rates = "; @ the learning rate it was compared at" if "optim.lr" in found.keys else ""
    _say(console, f"Mean {PLUS_MINUS} over {each} runs{rates}. - : no run has it.")


def _held(row: Mapping[str, Any], key: str) -> tuple[str, Any]:
    value = row["config"].get(key)
    return repr(value), value


def _differences(found: Comparison, console: Console, limit: int) -> None:
    assert found.differences is not None
    name = found.headline
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title_justify="left",
        title=f"{name} less that of {found.baseline}, paired", title_style="bold",
    )  # fmt: skip
    labels = short_names(found.keys)
    for key in found.keys:
        table.add_column(labels[key], overflow="fold")
    for head in ("pairs", "difference", "95 % interval", "effect size"):
        table.add_column(head, justify="right", no_wrap=True)
    for row, entries in list(zip(found.rows, found.differences, strict=True))[:limit]:
        entry = entries.get(name)
        if entry is None:
            continue
        ends = entry["ci95"]
        span = f"{ends[0]:+.4f} to {ends[1]:+.4f}" if ends else "-"
        effect = entry["effect_size"]
        own = [text(row["config"].get(key)) for key in found.keys]
        size = f"{effect:+.1f}" if effect is not None else "-"
        table.add_row(*own, str(entry["n"]), f"{entry['mean']:+.4f}", span, size)
    console.print(fit(table, console.width))
    _say(
        console,
        "Pairs share seed, batches and split. Effect size: mean difference over its sd. An "
        "interval that holds 0 shows no difference.",
    )


def _explained(found: Explained, console: Console) -> None:
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title_justify="left",
        title=f"what the spread of {found.metric} comes from (sd {found.sd:.4f})",
        title_style="bold",
    )  # fmt: skip
    for head in ("source", "share", "less chance", "df", "F", "p"):
        table.add_column(head, justify="left" if head == "source" else "right")
    for one in found.shares:
        table.add_row(
            one.source, f"{one.share:.1%}", "-" if one.unbiased is None else f"{one.unbiased:.1%}",
            str(one.df), "-" if one.f is None else f"{one.f:.1f}",
            "-" if one.p is None else f"{one.p:.2g}",
        )  # fmt: skip
    console.print(table)
    left = f" {found.left_out} without every combination left out." if found.left_out else ""
    _say(
        console,
        f"Additive analysis of variance within {found.configurations} configuration"
        f"{'' if found.configurations == 1 else 's'}.{left}",
    )


def cell_text(entry: Mapping[str, Any] | None, name: str) -> str:
    """Mean and half the 95 % interval of a metric over replicates; "-" where no run has it."""
    if entry is None:
        return "-"
    digits = metric_of(name).digits
    value = fixed(entry["mean"], digits)
    if entry["ci95"] is None:
        return value
    return f"{value} ±{fixed((entry['ci95'][1] - entry['ci95'][0]) / 2, digits)}"


def _header(name: str, cells: Sequence[str]) -> str:
    """A column's name, broken where it is wider than what stands under it."""
    if len(name) <= _width(["", *cells]):
        return name
    return (
        name.replace("_", "_\n", 1) if "_" in name and "/" not in name else name.replace("/", "\n/")
    )


def verdict_text(counted: Counter[str]) -> str:
    """The verdict that all runs share, or how many have which."""
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{n} {verdict}" for verdict, n in counted.most_common())


def _width(cells: Sequence[str]) -> int:
    return max(map(len, cells))


def _say(console: Console, words: str, *, style: str = "dim") -> None:
    for line in textwrap.wrap(words, console.width):
        console.print(line, markup=False, style=style)
