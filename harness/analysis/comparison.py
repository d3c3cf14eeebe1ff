"""Runs compared: replicates folded, configurations paired, each loss at its own learning rate.

result = compare(records, by="loss.name", baseline="loss.name=cross_entropy")
result.rows            # [{"config": {...}, "n": 3, "metrics": {name: {"mean", "sd", "ci95"}}}]
result.remarks         # what must be known to read them; render.compare_table shows all of it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.choices import about_search
from harness.analysis.grouping import (
    LR,
    best_rates,
    groups_of,
    name_rates,
    values_of_runs,
)
from harness.analysis.ordering import Order, twins_of
from harness.analysis.pairing import differences_to
from harness.analysis.remarks import about_reading, about_runs
from harness.analysis.selection import Condition, Given, conditions, selected
from harness.analysis.table import SweepTable, known_column, table_of
from harness.components.metrics import shown_in
from harness.config.labels import nll_unit, text
from harness.errors import ConfigError, shown
from harness.numerics.folding import fold
from harness.numerics.variance import Explained, variance_explained
from harness.records.ranking import READ, yardstick

if TYPE_CHECKING:
    import pandas as pd

    from harness.records.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `compare` found; rows are in the order asked for.

    rows: the contract's JSON. verdicts: of each row's runs. keys: what the rows are told apart by.
    headline: the metric that rates and ranks; order: how rows are ordered, in words; shown: the
    metrics a table shows; named: whether the caller named them. twins: per row, the first row
    that has the same runs to the last digit (itself where there is none before it).
    rates: {"group": {key: value}, "lr": the best, "of": all tried} where learning rates vary.
    differences: per row {metric: {"n", "mean", "sd", "ci95", "effect_size"}} to the baseline, None
    without one. remarks: what must be known to read the numbers.
    """

    keys: tuple[str, ...]
    rows: list[dict[str, Any]]
    verdicts: list[Counter[str]]
    headline: str
    order: str
    unit: str
    shown: tuple[str, ...]
    twins: tuple[int, ...]
    named: bool = False
    by: tuple[str, ...] = ()
    rates: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, dict[str, Any]]] | None = None
    baseline: str = ""
    explained: Explained | None = None
    remarks: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        runs = sum(row["n"] for row in self.rows)
        return f"<comparison of {len(self.rows)} rows, {runs} runs, by {self.headline}>"

    def to_json(self) -> list[dict[str, Any]]:
        """The rows; with a baseline their metrics hold difference/<metric> too, with its effect."""
        if self.differences is None:
            return self.rows
        out = []
        for row, found in zip(self.rows, self.differences, strict=True):
            extra = {
                f"difference/{name}": {k: v for k, v in entry.items() if k != "n"}
                for name, entry in found.items()
            }
            out.append({**row, "metrics": row["metrics"] | extra})
        return out

    def frame(self) -> pd.DataFrame:
        """One flat row each: settings, n, and <metric>.mean, .sd, .low, .high."""
        import pandas as pd

        rows = []
        for row in self.to_json():
            flat = {**{k: text(v) for k, v in row["config"].items()}, "n": row["n"]}
            for name, entry in row["metrics"].items():
                low, high = entry["ci95"] or (None, None)
                parts = {"mean": entry["mean"], "sd": entry["sd"], "low": low, "high": high}
                flat |= {f"{name}.{part}": value for part, value in parts.items()}
                if "effect_size" in entry:
                    flat[f"{name}.effect_size"] = entry["effect_size"]
            rows.append(flat)
        return pd.DataFrame(rows, columns=None if rows else [*self.keys, "n"])


def compare(  # noqa: PLR0913  public, and each is a keyword of its own
    runs: SweepTable | Iterable[RunRecord], *, by: str | Sequence[str] = (),
    metrics: str | Sequence[str] = (), where: Given = (), baseline: Given = (),
    sort: str = "", rates: str = "best",
) -> Comparison:  # fmt: skip
    """Fold replicates (runs that differ in seeds alone) and compare configurations.

    by: one or two settings to tell rows apart by, everything else pooled; none: each
    configuration is a row. metrics: which to give (default all; the table shows a few). where,
    baseline: key=value conditions (see selecting). sort: a setting or metric, best first; prefix
    with - to reverse the order. rates: "best": where optim.lr varies and is not in `by`, only each
    loss's own best rate counts; "all": pool over rates too. ConfigError on unknown names.
    """
    table = runs if isinstance(runs, SweepTable) else table_of(runs)
    by = tuple(known_column(table, key) for key in ([by] if isinstance(by, str) else by) if key)
    if len(by) > 2:
        raise ConfigError(f"--by has {len(by)} keys; allowed: one, or two for a pivot.")
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    wanted = [_metric(table, name) for name in wanted if name]
    finished = [status == "FINISHED" for status in table.runs["status"].tolist()]
    keep = np.array(selected(table, conditions(table, where)), dtype=bool)
    found = _part(table, keep & np.array(finished, dtype=bool))
    remarks = about_runs(table, found) + about_search(table)
    measure = yardstick(found.rows(READ))
    headline = wanted[0] if wanted else measure.metric
    values_NM = values_of_runs(found)
    rated: list[dict[str, Any]] = []
    pooled_rates = bool(by) and LR not in by and LR in found.varying
    if LR in found.varying and headline in found.metrics:
        rated, best = best_rates(found, values_NM, headline, by)
        if pooled_rates and rates == "best":
            found, values_NM = _part(found, best), values_NM[best]
    keys = by or _told_apart(table, found, conditions(table, where))
    code_N, labels = groups_of(found, keys, configs=not by)
    names = [n for n in (wanted or found.metrics) if n in found.metrics]
    rows, verdicts = _rows(found, values_NM, code_N, labels, names)
    at_best = pooled_rates and rates == "best"
    if at_best:
        keys = (*keys, *name_rates(rows, found, code_N))
    differences = None
    if base := conditions(table, baseline):
        selected(found, base)
        differences = differences_to(
            found, values_NM, code_N, base, names, skip=(LR,) if at_best else ()
        )
    order = Order(table, by, sort, headline, measure)
    places = order.places(found, code_N, rows)
    twins = twins_of(found, code_N, places)
    remarks += about_reading(found, by, rows, at_best=at_best, rated=rated)
    return Comparison(
        keys=tuple(keys), rows=[rows[i] for i in places], verdicts=[verdicts[i] for i in places],
        headline=headline, order=order.words(len(rows)), twins=twins, by=by, rates=rated,
        unit=nll_unit(found.runs.get("data.name", ())), named=bool(wanted),
        shown=tuple(n for n in wanted or _shown(headline, found) if n in found.metrics),
        differences=[differences[i] for i in places] if differences is not None else None,
        baseline=", ".join(f"{c.column}{c.sign}{text(c.value)}" for c in base),
        explained=variance_explained(found.runs, headline), remarks=remarks,
    )  # fmt: skip


def _told_apart(
    table: SweepTable, found: SweepTable, where: Sequence[Condition]
) -> tuple[str, ...]:
    """Settings that tell the rows apart, and those of the conditions that chose them."""
    chosen = {one.column for one in where}
    varying = found.varying_settings
    return tuple(k for k in table.varying_settings if k in varying or k in chosen)


def _rows(
    found: SweepTable, values_NM: Any, code_N: Any, labels: Sequence[dict[str, Any]],
    names: Sequence[str],
) -> tuple[list[dict[str, Any]], list[Counter[str]]]:  # fmt: skip
    """Per group its row (config, n, metrics) and the verdicts of its runs."""
    place = [(name, found.metrics.index(name)) for name in names]
    folded = fold(values_NM, code_N, len(labels))
    verdicts: list[Counter[str]] = [Counter() for _ in labels]
    for g, verdict in zip(code_N.tolist(), found.runs["verdict"].tolist(), strict=True):
        verdicts[g][str(verdict)] += 1
    rows = []
    for g, label in enumerate(labels):
        entries = {name: folded.at(g, m).entry() for name, m in place if folded.n[g, m]}
        rows.append({"config": label, "n": verdicts[g].total(), "metrics": entries})
    return rows, verdicts


def _metric(table: SweepTable, name: str) -> str:
    column = known_column(table, name)
    if column not in table.metrics:
        raise ConfigError(f"{shown(name)} is a setting; allowed here: a metric, such as nll/val.")
    return column


def _part(table: SweepTable, keep: Any) -> SweepTable:
    runs = table.runs[np.asarray(keep)].reset_index(drop=True)
    return SweepTable(runs, table.settings, table.metrics, table.meta, table.load_curves)


def _shown(headline: str, table: SweepTable) -> list[str]:
    return [headline, *(n for n in shown_in("compare", table.metrics) if n != headline)]
