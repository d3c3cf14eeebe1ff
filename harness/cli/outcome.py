"""The last words of a train or sweep: results, failures, bad starts, where to look next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.analysis.story import questions, verdict_words
from harness.errors import HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest
from harness.records.ranking import Ranking, Standing, measured, ranking, yardstick
from harness.render import console

Rows = Mapping[str, Mapping[str, Any]]


def rows_of(ledger: Ledger, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """run_id -> its row of the table of runs, with what was remarked of it under "remarks"."""
    from harness.records.record import table_row

    rows = {
        run_id: {**table_row(plain), "remarks": _remarks(plain)}
        for run_id, plain in ledger.plains(run_ids)
    }
    return {run_id: rows[run_id] for run_id in run_ids if run_id in rows}


def _remarks(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """What was said of a run: the verdict on its start, then its warnings, each once."""
    start = plain["provenance"].get("start")
    return tuple(dict.fromkeys(([start] if start else []) + list(plain["warnings"])))


def values_of(run_ids: Sequence[str], rows: Rows, failed: Mapping[str, str]) -> list[Any]:
    """Per job what a sweeper minimises, the yardstick of these runs, or the error that ended it.

    A run that never had one is worse than any other.
    """
    metric = yardstick(rows.values()).metric
    return [
        HarnessError(f"run {run_id} failed: {failed[run_id]}")
        if run_id in failed
        else worst_if_missing(rows.get(run_id, {}), metric)
        for run_id in run_ids
    ]


def worst_if_missing(row: Mapping[str, Any], metric: str) -> float:
    """A run's metric; inf where it has none, or diverged."""
    value = measured(row, metric)
    return math.inf if value is None else value


def tell(
    rows: Rows, failed: Mapping[str, str], manifest: SweepManifest, *, single: bool, tracked: bool
) -> None:
    """Print results on stdout, then failures, then where to look next.

    tracked: whether MLflow has been told of these runs.
    """
    ahead = _tell_one(rows) if single else _tell_all(rows, manifest)
    if failed:
        console.failures(failed, manifest.names)
        console.say(f"{len(failed)} of {len(manifest.run_ids)} runs failed; the rest are kept.")
    if tracked:
        ahead = [("harness ui", "curves and numbers in MLflow"), *ahead]
    console.where_next(ahead, f"sweep {manifest.sweep_id}" if not single else "")


def _tell_one(rows: Rows) -> list[tuple[str, str]]:
    for row in rows.values():
        console.one_run(row, row["remarks"])
    return [(f"harness reproduce {run_id}", "train it again, compare every bit") for run_id in rows]


def _tell_all(rows: Rows, manifest: SweepManifest) -> list[tuple[str, str]]:
    every = list(rows.values())
    console.leaderboard(every, manifest.varying)
    found = ranking(every)
    if every:
        told = verdict_words(every, manifest.varying)
        console.paragraphs([f"{told}.", *questions(every, manifest.varying, found)])
    console.starts([row["start"] for row in rows.values()])
    by = next((f" --by {key}" for key in manifest.varying if not key.endswith("seed")), "")
    sweep = manifest.sweep_id[:8]
    ahead = [
        (f"harness compare {sweep}{by}", "what each value does" if by else "its numbers"),
        (f"harness report {sweep}", "a page of figures"),
    ]
    ahead += [
        (f"harness reproduce {best.best_run}", f"{_which(found, best)}, bit for bit")
        for best in found.bests[:3]
    ]
    return ahead


def _which(found: Ranking, best: Standing) -> str:
    return f"the {found.among(best)}" if len(found.standings) > 1 else "its best run"
