"""A comparison that prints itself: in a terminal, in a notebook, and as a figure.

result = compare(records, by="loss.name", baseline="loss.name=cross_entropy")
print(result)
"""

from __future__ import annotations

import functools
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, ParamSpec

from harness.analysis import comparison
from harness.analysis.comparison import Comparison
from harness.config.html import html_table
from harness.config.labels import short_names, text
from harness.render.compare_table import LIMIT, cell_text, rendered, verdict_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.render.figures.marks import Drawing

P = ParamSpec("P")


class PrintedComparison(Comparison):
    """A comparison that prints itself."""

    def text(self, width: int = 80) -> str:
        """The comparison as people read it, `width` columns wide."""
        return rendered(self, width)

    def __str__(self) -> str:
        return self.text()

    def plot(self) -> Drawing:
        """Each row's mean of the headline and its 95 % interval, as a matplotlib figure."""
        from harness.render.plots import plot

        return plot(self)

    def _repr_html_(self) -> str:
        names = [name for name in self.shown if any(name in row["metrics"] for row in self.rows)]
        heads = [*short_names(self.keys).values(), "n", *names, "verdict"]
        rows = [
            [*(text(row["config"].get(key)) for key in self.keys), row["n"],
             *(cell_text(row["metrics"].get(name), name) for name in names), verdict_text(counted)]
            for row, counted in zip(self.rows[:LIMIT], self.verdicts, strict=False)
        ]  # fmt: skip
        more = len(self.rows) - len(rows)
        told = [self.order, *[f"And {more:,} rows more: .frame() has all."] * (more > 0)]
        notes = "".join(f"<p>{escape(one)}</p>" for one in [*told, *self.remarks] if one)
        title = f"{self.headline}: mean and 95 % interval over n runs, {self.unit}"
        return html_table(title, rows, heads) + notes


def _printing(compare: Callable[P, Comparison]) -> Callable[P, PrintedComparison]:
    @functools.wraps(compare)
    def printing(*args: P.args, **kwargs: P.kwargs) -> PrintedComparison:
        found = compare(*args, **kwargs)
        return PrintedComparison(**{f.name: getattr(found, f.name) for f in fields(found)})

    return printing


compare = _printing(comparison.compare)
