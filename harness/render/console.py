"""What a person sees on stdout when runs are done: tables, verdicts, where to look next."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from harness.config.labels import short_name, text

Row = Mapping[str, Any]  # one run: "run_id", "config_id", "verdict", settings and metrics by name
ENDS = ("nll/train", "gap/nll")
BAD_STARTS = ("confident and wrong", "not what the config says", "no finite initial loss")
ROOMY = 110  # columns from which a leaderboard shows all it has
WIDTH = 120  # columns of a table that does not go to a terminal


def say(words: str) -> None:
    """One line on stderr."""
    print(f"harness: {words}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _console() -> Console:
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDTH)


def leaderboard(rows: Sequence[Row], varying: Sequence[str], *, limit: int = 10) -> None:
    """Configurations by their best validation loss, replicates (seeds) folded, on stdout.

    rows: finished runs. Numbers are nats per character: mean, and the spread over seeds.
    """
    keys = [key for key in varying if not key.endswith("seed")]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["config_id"], []).append(row)
    metric = "best/nll_val" if any("best/nll_val" in row for row in rows) else "loss/val"
    ranked = sorted(groups.values(), key=lambda group: _mean(group, metric))
    seeds = any(len(group) > 1 for group in ranked)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    out = _console()
    narrow = out.width < ROOMY
    for key in keys or ["run"]:
        title = short_name(key)
        table.add_column(title.replace("_", "\n") if narrow else title, overflow="fold")
    columns = {metric: metric, "gap/nll": "gap/nll", "init/loss_measured": "first\nloss"}
    if not narrow:
        columns = {metric: metric, "nll/train": "nll/train", "gap/nll": "gap/nll"}
        columns |= {"init/loss_measured": "first loss", "init/loss_expected": "expected"}
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for place, group in enumerate(ranked[:limit], 1):
        shown = [text(group[0].get(key)) for key in keys] or [group[0]["run_id"]]
        numbers = [_number(group, name, spread=name == metric) for name in columns]
        table.add_row(str(place), *shown, *numbers, _verdicts(group))
    out.print()
    out.print(table)
    rest = len(ranked) - limit
    notes = [f"and {rest} more"] if rest > 0 else []
    if seeds:
        notes.append("mean over seeds, +- their standard deviation")
    notes.append("nats per character, the first loss in its loss's own units")
    out.print("; ".join(notes), style="dim")


def failures(failed: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Which runs failed, and why, on stderr."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("failed run", "settings", "reason"):
        table.add_column(title, overflow="fold")
    for run_id, message in failed.items():
        table.add_row(run_id, names.get(run_id, ""), message.strip().splitlines()[-1])
    width = None if sys.stderr.isatty() else WIDTH
    Console(stderr=True, highlight=False, width=width).print(table)


def one_run(row: Row, remarks: Sequence[str] = ()) -> None:
    """One run's final numbers and what was remarked of it, on stdout."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("run", row["run_id"])
    table.add_row("verdict", row["verdict"])
    for name in (
        "init/loss_uniform", "init/loss_expected", "init/loss_measured", "init/loss_z",
        "loss/train", "loss/val", "nll/train", "nll/val", "nll/test", "accuracy/val",
        "best/nll_val", "best/step", "gap/nll", "speed/run_steps_per_s",
    ):  # fmt: skip
        if name in row:
            table.add_row(name, f"{row[name]:.6g}")
    out = _console()
    out.print(table)
    for remark in remarks:
        out.print(Padding(f"- {remark}", (0, 0)), width=min(out.width, 80))


def starts(told: Sequence[Sequence[str]]) -> None:
    """How many runs began badly by what was said of them, on stdout; nothing where none did."""
    counts = Counter(
        word for texts in told for word in BAD_STARTS if any(t.startswith(word) for t in texts)
    )
    for word, count in counts.items():
        _console().print(
            f"{count} of {len(told)} runs began {word!r}; `harness show RUN` says what to change",
            style="yellow",
        )


def _known(group: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in group if name in row]


def _mean(group: Sequence[Row], name: str) -> float:
    known = _known(group, name)
    return statistics.fmean(known) if known else math.inf


def _number(group: Sequence[Row], name: str, *, spread: bool) -> str:
    """Mean over seeds; final numbers are those of runs that did not diverge."""
    ended = [row for row in group if row["verdict"] != "diverged"]
    known = _known(ended if name in ENDS else group, name)
    if not known:
        return "-"
    mean = f"{statistics.fmean(known):.4f}"
    return f"{mean} +-{statistics.stdev(known):.4f}" if spread and len(known) > 1 else mean


def _verdicts(group: Sequence[Row]) -> str:
    counted = Counter(row["verdict"] for row in group)
    if len(counted) == 1:
        return str(next(iter(counted)))
    return ", ".join(f"{n} {verdict}" for verdict, n in counted.most_common())


def where_next(ahead: Sequence[tuple[str, str]], title: str) -> None:
    """Commands that lead on, each with what it shows, on stdout."""
    out = _console()
    out.print()
    if title:
        out.print(title, style="bold")
    width = max(len(command) for command, _ in ahead)
    for command, meaning in ahead:
        out.print(f"  {command:<{width}}  {meaning}", soft_wrap=True, markup=False)
