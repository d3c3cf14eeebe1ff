"""Whole runs out of an MLflow store: settings, numbers, weights where kept, and curves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.config.foreign import recall
from harness.config.keys import nest
from harness.config.run import run_config
from harness.errors import HarnessError, shown
from harness.records.record import WEIGHTS, Curve, RunRecord
from harness.records.verdicts import VERDICTS

if TYPE_CHECKING:
    from harness.tracking.reader import MlflowReader


def stored_records(store: MlflowReader, run_ids: Iterable[str]) -> dict[str, RunRecord]:
    """The finished ones among these runs, with their curves; weights where the store has them."""
    out = {}
    for run_id in run_ids:
        found = [one for one in store.runs_named(run_id) if "harness.verdict" in one.data.tags]
        if found:
            out[run_id] = record_among(store, found, curves=True)
    return out


def record_among(store: MlflowReader, found: Sequence[Any], *, curves: bool = False) -> RunRecord:
    """The record of one run out of its finished entries in a store, newest first.

    One run may stand under several sweeps, and only where it was the best has it its weights.
    """
    parts = ((one, store.artifact(one, WEIGHTS)) for one in found)
    run, content = next((pair for pair in parts if pair[1] is not None), (found[0], None))
    return _record_of(run, content, store.curves(run)[0] if curves else {})


def _record_of(run: Any, content: bytes | None, series: Mapping[str, Curve]) -> RunRecord:
    """A record out of one MLflow run, its weights file and its curves."""
    from harness.tracking import portable
    from harness.tracking.reader import setting

    weights, note = portable.unpack(content) if content else ({}, {})
    tags = run.data.tags
    plain = note.get("config") or nest({k: setting(v) for k, v in run.data.params.items()})
    verdict = tags["harness.verdict"]
    recall(json.loads(tags.get("harness.components", "{}")))
    if verdict not in VERDICTS:
        raise HarnessError(
            f"run {tags['harness.run_id']} has the verdict {shown(verdict)}, which a newer version "
            "of harness gave; update this one."
        )
    told = ("version", "data_sha256", "numerics", "torch", "platform", "device")
    return RunRecord(
        config=run_config(plain),
        run_id=tags["harness.run_id"],
        config_id=tags.get("harness.config_id", ""),
        series=series,
        summary=dict(run.data.metrics),
        verdict=verdict,
        weights=weights,
        symbols=tuple(note.get("symbols", ())),
        provenance={k: tags[f"harness.{k}"] for k in told if f"harness.{k}" in tags},
    )
