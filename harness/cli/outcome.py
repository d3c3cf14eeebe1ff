"""The last words of a train or sweep: results, failures, bad starts, where to look next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.config.run import RunConfig
from harness.errors import HarnessError
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest
from harness.render import console

Rows = Mapping[str, Mapping[str, Any]]


def rows_of(ledger: Ledger, run_ids: Mapping[str, RunConfig]) -> dict[str, dict[str, Any]]:
    """run_id -> its row of the table of runs, with what was remarked of it under "remarks"."""
    from harness.records.record import table_row

    plains = {run_id: ledger.read_plain(run_id) for run_id in run_ids}
    return {
        run_id: {**table_row(plain), "remarks": _remarks(plain)}
        for run_id, plain in plains.items()
        if plain is not None
    }


def _remarks(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """What was said of a run: the verdict on its start, then its warnings, each once."""
    start = plain["provenance"].get("start")
    return tuple(dict.fromkeys(([start] if start else []) + list(plain["warnings"])))


def value_of(run_id: str, rows: Rows, failed: Mapping[str, str]) -> Any:
    """What a sweeper minimises: best/nll_val; a run that never had one is worse than any other."""
    if run_id in failed:
        return HarnessError(f"run {run_id} failed: {failed[run_id]}")
    row = rows.get(run_id, {})
    return row.get("best/nll_val", row.get("loss/val", math.inf))


def best_of(rows: Rows) -> str | None:
    """The run with the lowest value; None where there is no run."""
    return min(rows, key=lambda run_id: value_of(run_id, rows, {}), default=None)


def tell(rows: Rows, failed: Mapping[str, str], manifest: SweepManifest, *, single: bool) -> None:
    """Print results on stdout, then failures, then where to look next."""
    ahead = _tell_one(rows) if single else _tell_all(rows, manifest)
    if failed:
        console.failures(failed, manifest.names)
        console.say(f"{len(failed)} of {len(manifest.run_ids)} runs failed; the rest are kept.")
    console.where_next(ahead, f"sweep {manifest.sweep_id}" if not single else "")


def _tell_one(rows: Rows) -> list[tuple[str, str]]:
    for row in rows.values():
        console.one_run(row, row["remarks"])
    where = next(iter(rows), None)
    ahead = [("harness ui", "its curves in MLflow")]
    return ahead + [(f"harness reproduce {where}", "train it again, compare every bit")] * bool(
        where
    )


def _tell_all(rows: Rows, manifest: SweepManifest) -> list[tuple[str, str]]:
    console.leaderboard(list(rows.values()), manifest.varying)
    console.starts([row["remarks"] for row in rows.values()])
    by = next((f" --by {key}" for key in manifest.varying if not key.endswith("seed")), "")
    ahead = [
        ("harness ui", "curves and numbers in MLflow"),
        (
            f"harness compare {manifest.sweep_id[:8]}{by}",
            "what each value does" if by else "its numbers",
        ),
        (f"harness report {manifest.sweep_id[:8]}", "a page of figures"),
    ]
    best = best_of(rows)
    if best:
        ahead.append((f"harness reproduce {best}", "the best one, bit for bit"))
    return ahead
