"""What a person sees on stderr while runs train: how far, how long still, and how it goes.

On a terminal a live view: a bar with the time left, and for every loss the mean validation curve
as a sparkline with the lowest value so far. Elsewhere a plain line now and then;
with --quiet nothing, on a terminal or not.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from harness.render.console import duration, say

if TYPE_CHECKING:
    from harness.records.record import Evaluation

SPEAK_EVERY = 10.0  # seconds between plain progress lines
KNOWN_SHARE = 0.03  # of all steps: before that the time left is guesswork
BLOCKS = "▁▂▃▄▅▆▇█"
SHORT = 3  # evaluations
WATCHED = "nll/val"


class Meter(Protocol):
    """How far a set of runs is, and how well they do."""

    def step(self, run_ids: Sequence[str], step: int) -> None:
        """Runs in training have come to this step."""

    def evaluated(self, seen: Evaluation) -> None:
        """Runs were evaluated."""

    def ended(self, run_ids: Sequence[str]) -> None:
        """Runs are over, finished or failed."""


@contextlib.contextmanager
def progress(
    steps: Mapping[str, int], losses: Mapping[str, str], *, quiet: bool = False
) -> Iterator[Meter]:
    """Show how far these runs are (run_id -> its steps, its loss), on stderr."""
    if quiet:
        yield _Silent()
    elif sys.stderr.isatty():
        view = _View(steps, losses)
        with Live(view.render(), console=Console(stderr=True), refresh_per_second=4) as live:
            view.live = live
            yield view
            live.update(view.render())
    else:
        yield _Lines(steps, losses)


def sparkline(values: list[float]) -> str:
    """Numbers as blocks of eight heights, lowest to highest; flat ones at the bottom."""
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((v - low) * scale)] for v in values)


class _Count:
    """Steps done over all runs; a run that ends early counts as whole. Best values by loss."""

    def __init__(self, steps: Mapping[str, int], losses: Mapping[str, str]) -> None:
        # a run of no steps still counts for something, or a bar of such runs never fills
        self.steps = {run_id: max(1, n) for run_id, n in steps.items()}
        self.losses = losses
        self.total = sum(self.steps.values())
        self.at: dict[str, int] = {}
        self.done = 0
        self.over: set[str] = set()
        self.best: dict[str, float] = {}
        self.sums: dict[str, dict[int, tuple[float, int]]] = {}

    def to(self, run_ids: Iterable[str], step: int | None = None) -> None:
        """Note that runs have come to a step; to their end where none is given."""
        for run_id in run_ids:
            last = self.steps[run_id]
            now = last if step is None else min(step, last)
            self.done += now - self.at.get(run_id, 0)
            self.at[run_id] = now

    def end(self, run_ids: Iterable[str]) -> None:
        self.over.update(run_ids)
        self.to(run_ids)

    def seen(self, found: Evaluation) -> None:
        for run_id, value in zip(found.run_ids, found.values.get(WATCHED, ()), strict=False):
            if not math.isfinite(value):
                continue
            loss = self.losses[run_id]
            self.best[loss] = min(value, self.best.get(loss, math.inf))
            sums = self.sums.setdefault(loss, {})
            total, count = sums.get(found.step, (0.0, 0))
            sums[found.step] = (total + value, count + 1)

    def curve(self, loss: str, most: int = 24) -> list[float]:
        """Mean validation NLL of a loss's runs at its evaluations, the last `most` of them.

        The start is left out once there is more: it would flatten all that follows.
        """
        means = [total / count for _, (total, count) in sorted(self.sums[loss].items())]
        return means[1:][-most:] if len(means) > SHORT else means

    def runs(self) -> str:
        return f"{len(self.over)}/{len(self.steps)} runs"


class _View:
    def __init__(self, steps: Mapping[str, int], losses: Mapping[str, str]) -> None:
        self.count = _Count(steps, losses)
        self.live: Live | None = None
        self.bar = Progress(
            TextColumn("training"), BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[runs]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=self.count.total, runs=self.count.runs())

    def render(self) -> Group:
        """The bar, and a line a loss."""
        table = Table(box=None, pad_edge=False, show_header=bool(self.count.best))
        for title in ("loss", f"mean {WATCHED} over steps", "now", "lowest"):
            table.add_column(title, justify="right" if title in ("now", "lowest") else "left")
        for loss, best in sorted(self.count.best.items(), key=lambda pair: pair[1]):
            curve = self.count.curve(loss)
            table.add_row(loss, sparkline(curve), f"{curve[-1]:.4f}", f"{best:.4f}")
        return Group(self.bar, table)

    def step(self, run_ids: Sequence[str], step: int) -> None:
        self.count.to(run_ids, step)
        self.bar.update(self.task, completed=self.count.done)

    def evaluated(self, seen: Evaluation) -> None:
        self.count.seen(seen)
        if self.live is not None:
            self.live.update(self.render())

    def ended(self, run_ids: Sequence[str]) -> None:
        self.count.end(run_ids)
        self.bar.update(self.task, completed=self.count.done, runs=self.count.runs())


class _Silent:
    def step(self, run_ids: Sequence[str], step: int) -> None:
        del run_ids, step

    def evaluated(self, seen: Evaluation) -> None:
        del seen

    def ended(self, run_ids: Sequence[str]) -> None:
        del run_ids


class _Lines:
    def __init__(self, steps: Mapping[str, int], losses: Mapping[str, str]) -> None:
        self.count = _Count(steps, losses)
        self.began = self.spoke = time.monotonic()

    def step(self, run_ids: Sequence[str], step: int) -> None:
        self.count.to(run_ids, step)
        self._speak()

    def evaluated(self, seen: Evaluation) -> None:
        self.count.seen(seen)

    def ended(self, run_ids: Sequence[str]) -> None:
        self.count.end(run_ids)
        self._speak()

    def _speak(self) -> None:
        now = time.monotonic()
        if now - self.spoke >= SPEAK_EVERY and self.count.done:
            self.spoke = now
            share = self.count.done / self.count.total
            left = duration((now - self.began) * (1 / share - 1))
            known = f", {left} left" if share > KNOWN_SHARE else ""
            if self.count.best:
                known += f", lowest {WATCHED} so far {min(self.count.best.values()):.4f}"
            say(f"{self.count.runs()}, {100 * share:.0f} % of all steps{known}")
