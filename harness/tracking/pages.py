"""What MLflow is told of a sweep as a whole: its page, its tags, its table of runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.config.labels import short_name
from harness.records.ranking import ranking
from harness.records.record import table_parquet
from harness.tracking.projection import TAG_LENGTH, overrides_text, own_tags, source_tags, text

if TYPE_CHECKING:
    from harness.records.manifests import SweepManifest

TAGS = "harness.tags"  # column of runs.parquet: JSON of the tags a run would have had as a child
EXPERIMENT_NOTE = """Runs of **harness**: initial loss and overfitting, compared.

A sweep is a parent run, its runs are nested under it and named by what varies. Losses are in nats
per character, of binary data per example, on whole splits: `loss/*` in the run's own units, `nll/*`
cross-entropy of softmax(logits), which can be compared between losses; `gap/*` is validation less
training; `init/*` is the first loss, expected and measured. The tag `harness.verdict` says
underfit, fit, memorising, overfit, unvalidated (no validation split) or diverged: filter by
`tags."harness.verdict" = 'overfit'`. All runs are in the parent's `runs.parquet`, all points of
their curves in its `curves.parquet`.
"""


def parent_name(sweep: SweepManifest) -> str:
    """A sweep's name in lists: the user's own, or the start of its id and what varies."""
    if own := sweep.tracking.get("run_name"):
        return str(own)
    short = [short_name(key) for key in sweep.varying]
    seeds = [name for name in short if name.endswith("seed")]
    told = " x ".join([name for name in short if name not in seeds] + seeds)
    return f"sweep {sweep.sweep_id[:8]}{': ' if told else ''}{told}"[:120]


def parent_tags(sweep: SweepManifest) -> dict[str, str]:
    """Tags of a sweep's parent at its beginning."""
    confirms = {"harness.confirms": json.dumps(dict(sweep.confirms))} if sweep.confirms else {}
    return {
        "harness.kind": "sweep",
        "harness.sweep_id": sweep.sweep_id,
        **confirms,
        "harness.overrides": overrides_text(sweep.overrides),
        "mlflow.note.content": description(sweep, []),
        **size_tags(sweep),
        **source_tags(sweep),
        **own_tags(sweep),
    }


def size_tags(sweep: SweepManifest) -> dict[str, str]:
    """How many runs a sweep has, and what varies, for whoever lists sweeps."""
    return {
        "harness.runs": str(len(sweep.run_ids)),
        "harness.varying": json.dumps(list(sweep.varying)),
    }


def description(
    sweep: SweepManifest, rows: Sequence[Mapping[str, Any]], ending: Sequence[str] = ()
) -> str:
    """What a sweep's page says first, in Markdown; ending: last paragraphs."""
    lines = [f"{sweep.tracking['note']}\n"] if sweep.tracking.get("note") else []
    lines.append(f"**{len(sweep.run_ids)} runs** of `harness`, sweep `{sweep.sweep_id}`.")
    if sweep.varying:
        lines.append("\nWhat varies:\n")
        for key in sweep.varying:
            seen = {text(flat.get(key)) for flat in sweep.settings.values()}
            values = sorted(seen, key=_order)
            more = f", ... ({len(values)} values)" if len(values) > 12 else ""
            lines.append(f"- `{key}`: {', '.join(values[:12])}{more}")
    done = [row for row in rows if row["status"] == "FINISHED"]
    if done:
        counts: dict[str, int] = {}
        for row in done:
            counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
        told = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
        failed = sum(row["status"] == "FAILED" for row in rows)
        lines.append(f"\nVerdicts: {told}" + (f"; {failed} failed" if failed else "") + ".")
        found, names = ranking(done), {row["run_id"]: row["name"] for row in done}
        lines += [
            f"\n{found.words(best)}; its best run is {names[best.best_run]}."
            for best in found.bests
        ]
    lines += ending
    lines.append("\nAll runs in `runs.parquet`; `harness compare` and `harness report` read it.")
    return "\n".join(lines)[:TAG_LENGTH]


def _order(shown: str) -> tuple[int, float, str]:
    try:
        return 0, float(shown), shown
    except ValueError:
        return 1, 0.0, shown


def runs_parquet(
    rows: Sequence[Mapping[str, Any]], settings: Iterable[str], overrides: Sequence[str] = ()
) -> bytes:
    """One table of all runs as parquet: a row a run, columns as in Ledger.table.

    Lists and columns of mixed kinds are held as JSON text. The schema's metadata names the
    columns that are settings ("harness.settings") and those that are JSON ("harness.json"),
    and holds the overrides that the sweep was started with ("harness.overrides"), all as JSON.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for i, row in enumerate(rows):
        for key, value in row.items():
            if key not in columns:
                columns[key] = [None] * len(rows)
            columns[key][i] = value
    arrays, coded = {}, []
    for key, values in columns.items():
        kinds = {type(v) for v in values if v is not None}
        if kinds == {int, float}:
            values = [None if v is None else float(v) for v in values]
        elif len(kinds) > 1 or kinds & {list, dict, tuple}:
            values = [None if v is None else json.dumps(v) for v in values]
            coded.append(key)
        arrays[key] = pa.array(values, pa.string() if not kinds else None)
    known = [key for key in settings if key in columns]
    note = {"harness.settings": json.dumps(known), "harness.json": json.dumps(coded)}
    note["harness.overrides"] = json.dumps(list(overrides))
    return table_parquet(pa.table(arrays).replace_schema_metadata(note))
