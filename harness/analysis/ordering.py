"""The order of a comparison's rows, and which of them are equal.

Axes: N runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analysis.grouping import lower_is_better
from harness.analysis.selection import sort_key
from harness.analysis.table import known_column
from harness.records.ranking import READ, Row, Yardstick, fingerprint, ranking

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable


@dataclass(frozen=True)
class Order:
    """The order of rows: by the settings of `by`, else best first; `sort` overrides both."""

    table: SweepTable
    by: Sequence[str]
    sort: str
    headline: str
    measure: Yardstick

    def places(
        self, found: SweepTable, code_N: Any, rows: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        """Row numbers in order."""
        name, turned = self._name, self.sort.startswith("-")
        if (name and name not in self.table.metrics) or (self.by and not name):
            keys = [name] if name else self.by
            return sorted(
                range(len(rows)),
                key=lambda i: [sort_key(rows[i]["config"].get(key)) for key in keys],
                reverse=turned,
            )
        ranked = ranking(
            found.rows([*READ, self._by.metric]), by=self._by, groups=code_N.tolist()
        ).standings
        places = [int(standing.config_id) for standing in ranked]
        return places[::-1] if turned else places

    def words(self, rows: int) -> str:
        """How the rows are ordered, and of how many the first is the best."""
        if (self.by and not self.sort) or (self._name and self._name not in self.table.metrics):
            return ""
        first = "Worst" if self.sort.startswith("-") else "Best"
        return f"{first} first, of {rows:,}, by {self._by}."

    @property
    def _name(self) -> str:
        return known_column(self.table, self.sort.removeprefix("-")) if self.sort else ""

    @property
    def _by(self) -> Yardstick:
        metric = self._name or self.headline
        if metric == self.measure.metric:
            return self.measure
        return Yardstick(metric, "likelihood", (), higher=not lower_is_better(metric))


def twins_of(table: SweepTable, code_N: Any, places: Sequence[int]) -> tuple[int, ...]:
    """Per row, the first row whose runs have the very same numbers; itself where there is none.

    places: the group (code of its runs) that each row shows.
    """
    runs: dict[int, list[Row]] = {}
    rows = table.rows(["run_id", "verdict", *table.metrics])
    for code, run in zip(code_N.tolist(), rows, strict=True):
        runs.setdefault(code, []).append(run)
    first: dict[Any, int] = {}
    return tuple(first.setdefault(fingerprint(runs[g]), row) for row, g in enumerate(places))
