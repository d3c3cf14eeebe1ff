"""What a person sees: progress on stderr while runs train, tables on stdout when they are done."""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

Row = Mapping[str, Any]  # one run: "run_id", "config_id", "verdict", settings and metrics by name
WIDTH = 120  # columns of a table that does not go to a terminal
SPEAK_EVERY = 10.0  # seconds between plain progress lines
KNOWN_SHARE = 0.03  # of all steps: before that the time left is guesswork


class Meter(Protocol):
    """How far a set of runs is."""

    def step(self, run_id: str, step: int) -> None:
        """A run in training has come to this step."""

    def ended(self, run_id: str) -> None:
        """A run is over, finished or failed."""


@contextlib.contextmanager
def progress(steps: Mapping[str, int], *, quiet: bool = False) -> Iterator[Meter]:
    """Show how far these runs are (run_id -> its steps), with the time left, on stderr.

    A bar on a terminal, else a plain line now and then; with `quiet` plain lines too.
    """
    if sys.stderr.isatty() and not quiet:
        with _bar() as bar:
            yield _Bar(bar, steps)
    else:
        yield _Lines(steps)


def _bar() -> Progress:
    return Progress(
        TextColumn("training"), BarColumn(bar_width=None), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[runs]}"), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=Console(stderr=True),
    )  # fmt: skip


class _Count:
    """Steps done over all runs; a run that ends early counts as whole."""

    def __init__(self, steps: Mapping[str, int]) -> None:
        # a run of no steps still counts for something, or a bar of such runs never fills
        self.steps = {run_id: max(1, n) for run_id, n in steps.items()}
        self.total = sum(self.steps.values())
        self.at: dict[str, int] = {}
        self.done = 0
        self.over: set[str] = set()

    def to(self, run_id: str, step: int) -> None:
        step = min(step, self.steps[run_id])
        self.done += step - self.at.get(run_id, 0)
        self.at[run_id] = step

    def runs(self) -> str:
        return f"{len(self.over)}/{len(self.steps)} runs"


class _Bar:
    def __init__(self, bar: Progress, steps: Mapping[str, int]) -> None:
        self.bar, self.count = bar, _Count(steps)
        self.task = bar.add_task("training", total=self.count.total, runs=self.count.runs())

    def step(self, run_id: str, step: int) -> None:
        self.count.to(run_id, step)
        self.bar.update(self.task, completed=self.count.done)

    def ended(self, run_id: str) -> None:
        self.count.over.add(run_id)
        self.step(run_id, self.count.steps[run_id])
        self.bar.update(self.task, runs=self.count.runs())


class _Lines:
    def __init__(self, steps: Mapping[str, int]) -> None:
        self.count = _Count(steps)
        self.began = self.spoke = time.monotonic()

    def step(self, run_id: str, step: int) -> None:
        self.count.to(run_id, step)
        now = time.monotonic()
        if now - self.spoke >= SPEAK_EVERY and self.count.done:
            self.spoke = now
            share = self.count.done / self.count.total
            left = duration((now - self.began) * (1 / share - 1))
            known = f", {left} left" if share > KNOWN_SHARE else ""
            say(f"{self.count.runs()}, {100 * share:.0f} % of all steps{known}")

    def ended(self, run_id: str) -> None:
        self.count.over.add(run_id)
        self.step(run_id, self.count.steps[run_id])


def say(text: str) -> None:
    """One line on stderr."""
    print(f"harness: {text}", file=sys.stderr, flush=True)


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
    for key in keys or ["run"]:
        table.add_column(_short(key), overflow="fold")
    columns = {metric: metric, "nll/train": "nll/train", "gap/nll": "gap/nll"}
    columns |= {"init/loss_measured": "first loss", "init/loss_expected": "expected"}
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for place, group in enumerate(ranked[:limit], 1):
        shown = [_setting(group[0].get(key)) for key in keys] or [group[0]["run_id"]]
        numbers = [_number(group, name, spread=name == metric) for name in columns]
        table.add_row(str(place), *shown, *numbers, _verdicts(group))
    out = _console()
    out.print()
    out.print(table)
    rest = len(ranked) - limit
    notes = [f"and {rest} more"] if rest > 0 else []
    if seeds:
        notes.append("mean over seeds, +- their standard deviation")
    notes.append("nats per character")
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


def one_run(row: Row) -> None:
    """One run's final numbers, on stdout."""
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
    _console().print(table)


def _short(key: str) -> str:
    group, _, last = key.rpartition(".")
    return group if last == "name" else last


def _setting(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _known(group: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in group if name in row]


def _mean(group: Sequence[Row], name: str) -> float:
    known = _known(group, name)
    return statistics.fmean(known) if known else math.inf


def _number(group: Sequence[Row], name: str, *, spread: bool) -> str:
    known = _known(group, name)
    if not known:
        return "-"
    text = f"{statistics.fmean(known):.4f}"
    return f"{text} +-{statistics.stdev(known):.4f}" if spread and len(known) > 1 else text


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
