"""What is there and what is in it: sweeps known, one run, what two runs differ in.

Functions give plain values, as --json prints them; those named *_table are the same for people.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.components.metrics import in_order, metric_of
from harness.config.labels import short_names, text, unit_of
from harness.config.run import RunConfig, run_config
from harness.errors import ConfigError, nearest
from harness.records import verdicts
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest, describe
from harness.records.record import RunRecord, table_row
from harness.tracking import own_words

if TYPE_CHECKING:
    from rich.table import Table

    from harness.analysis.places import Places
    from harness.analysis.table import SweepTable
    from harness.tracking.reader import MlflowReader


def known_sweeps(where: Places, uri: str | None = None) -> list[dict[str, Any]]:
    """Sweeps and single runs, newest first.

    Each: sweep_id (of a single run its id), kind, name, created (unix s), runs, finished, varying,
    experiment, where. MLflow is asked where an address is given (uri or MLFLOW_TRACKING_URI) or the
    ledger holds nothing; a ledger that is named is the only place looked in.
    """
    found: dict[str, dict[str, Any]] = {}
    ledger = where.ledger
    if ledger is not None:
        done = set(ledger.run_ids())
        for sweep in ledger.sweeps() + ledger.sweeps("single"):
            single = sweep.kind == "single"
            found[sweep.sweep_id] = {
                "sweep_id": sweep.sweep_id, "kind": sweep.kind,
                "name": describe(_config_of(sweep)) if single else "",
                "created": sweep.created_ms / 1000,
                "runs": len(sweep.run_ids), "finished": len(done.intersection(sweep.run_ids)),
                "varying": list(sweep.varying), "experiment": sweep.tracking.get("experiment"),
                "where": "ledger", **own_words.of_manifest(sweep),
            }  # fmt: skip
    asked = uri or os.environ.get("MLFLOW_TRACKING_URI") or not found
    if where.mlflow and asked:
        for one in _mlflow_sweeps(where, needed=bool(uri) or not found):
            mine = found.get(one["sweep_id"])
            if mine is None:
                found[one["sweep_id"]] = one
            elif mine["where"] == "ledger":
                mine["where"] = "ledger, MLflow"
    if not found:
        raise ConfigError(
            f"there is no sweep and no run {where.words}; start one with `harness sweep`."
        )
    return sorted(found.values(), key=lambda one: -one["created"])


def _config_of(sweep: SweepManifest) -> RunConfig:
    return run_config(sweep.configs[sweep.run_ids[0]])


def _mlflow_sweeps(where: Places, *, needed: bool) -> list[dict[str, Any]]:
    try:
        store = where.store()
    except ConfigError:
        if needed:
            raise
        return []
    out = []
    for top in [*store.parents(), *store.singles()]:
        tags, single = top.data.tags, top.data.tags["harness.kind"] == "single"
        runs, varying = (1, []) if single else _size_of(store, top)
        written = tags.get("harness.written", str(int(top.info.status == "FINISHED")))
        out.append(
            {
                "sweep_id": tags["harness.run_id" if single else "harness.sweep_id"],
                "kind": tags["harness.kind"],
                "name": top.info.run_name if single else "",
                "created": top.info.start_time / 1000,
                "runs": runs,
                "finished": int(written) if single or "harness.written" in tags else None,
                "varying": varying,
                "experiment": store.experiments.get(top.info.experiment_id),
                "where": "MLflow",
                **own_words.of_tags(tags),
            }
        )
    return out


def _size_of(store: MlflowReader, parent: Any) -> tuple[int, list[str]]:
    """How many runs a sweep has and what varies: its tags, or its children in older stores."""
    tags = parent.data.tags
    if "harness.runs" in tags:
        return int(tags["harness.runs"]), json.loads(tags["harness.varying"])
    children = store.children(parent)
    settings = children[0].data.params if children else {}
    return len(children), [key for key in settings if key not in parent.data.params]


def runs_of(table: SweepTable) -> list[dict[str, Any]]:
    """A sweep's runs in its order: run_id, status, name, best/nll_val, verdict and why."""
    names = ("run_id", "status", "name", "best/nll_val", "nll/train", "verdict")
    return [
        {name: row[name] for name in names if name in row}
        | ({"why": verdicts.words(row)} if row["verdict"] else {})
        for row in table.rows()
    ]


def runs_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """A sweep's runs as people read them; without validation by what training came to."""
    metric = next(
        (name for name in ("best/nll_val", "nll/train") if any(map(is_finite(name), runs))),
        "best/nll_val",
    )
    table = _table("run", "what varies", metric, "verdict")
    for one in runs:
        known = is_finite(metric)(one) and (metric, one["verdict"]) != ("nll/train", "diverged")
        number = f"{one[metric]:.4f}" if known else "-"
        said = one["why"] if one["status"] == "FINISHED" else one["status"]
        table.add_row(one["run_id"], one["name"] or "-", number, said)
    return table


def is_finite(name: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row has a finite number of this name."""
    return lambda row: isinstance(row.get(name), float) and math.isfinite(row[name])


def sweeps_table(sweeps: Sequence[Mapping[str, Any]]) -> Table:
    """Known sweeps and single runs as people read them."""
    table = _table("sweep or run", "created", "runs", "what varies", "experiment", "where")
    for one in sweeps:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one["created"]))
        runs, done = one["runs"], one["finished"]
        count = text(runs) if done == runs else f"{text(done)} of {text(runs)}"
        keys = one["name"] or ", ".join(short_names(one["varying"]).values()) or "-"
        own = ", ".join(f"{key}={value}" for key, value in one["tags"].items())
        named = one["named"] if one["named"] != one["name"] else None
        keys = "\n".join(filter(None, (named, keys, one["note"], own)))
        table.add_row(one["sweep_id"], when, count, keys, one["experiment"] or "-", one["where"])
    return table


def find_run(run: str, where: Places) -> RunRecord:
    """A finished run by any of its names (see lookup.find_record).

    ConfigError where there is none such, or it failed.
    """
    from harness.analysis.lookup import find_record

    try:
        return find_record(run, where)
    except ConfigError as error:
        ledger = where.ledger
        if ledger is None:
            raise
        failed = [one for one in _failed(ledger) if run and one.startswith(run)]
        if failed:
            reason = ledger.failures(failed)[failed[0]]["message"].strip().splitlines()[-1]
            raise ConfigError(f"run {failed[0]} failed, so it has no numbers: {reason}") from None
        hint = "" if "Did you mean" in str(error) else nearest(run, ledger.run_ids())
        raise ConfigError(f"{error}{hint}") from error


def _failed(ledger: Ledger) -> list[str]:
    folder = ledger.root / "failures"
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def run_values(record: RunRecord) -> dict[str, Any]:
    """One run: ids, verdict, config (flat), metrics, series' lengths, warnings, provenance."""
    return {
        "run_id": record.run_id,
        "config_id": record.config_id,
        "verdict": record.verdict,
        "config": record.config.flat(),
        "metrics": dict(sorted(record.summary.items())),
        "series": {name: len(steps) for name, (steps, _) in sorted(record.series.items())},
        "warnings": list(record.warnings),
        "provenance": dict(record.provenance),
    }


def run_tables(record: RunRecord) -> list[tuple[str, Table]]:
    """(title, table) of one run: settings, those not at their default marked *; then numbers."""
    default = RunConfig().flat()
    head = _table("", "", header=False)
    head.add_row("run_id", record.run_id)
    head.add_row("config_id", record.config_id)
    head.add_row("verdict", verdicts.words(table_row(record.to_plain())))
    for key in ("version", "git_commit", "torch", "platform", "device", "seconds", "calibration"):
        if key in record.provenance:
            head.add_row(key, text(record.provenance[key]))
    for words in record.warnings:
        head.add_row("note", words)
    settings = _table("setting", "value", "")
    for key, value in record.config.flat().items():
        settings.add_row(key, text(value), "*" if value != default.get(key) else "")
    numbers, run = _table("metric", "value", "unit"), record.config
    for name in in_order(sorted(record.summary)):
        unit = unit_of(name, loss=run.loss.name, source=run.data.name)
        numbers.add_row(name, f"{record.summary[name]:.6g}", unit)
    return [
        ("", head), ("Settings (* not at the default)", settings), ("Final numbers", numbers),
    ]  # fmt: skip


def differences(a: RunRecord, b: RunRecord) -> dict[str, Any]:
    """{"config": {key: [a, b]}, "metrics": {name: [a, b, b - a]}, "same_curves": bool}.

    Settings that differ, and every number that does; null where a run lacks one. Settings that
    change no number (chunk, workers) are listed too. same_curves: all shared points bitwise equal.
    """
    left, right = a.config.flat(), b.config.flat()
    config = {k: [left.get(k), right.get(k)] for k in left if left.get(k) != right.get(k)}
    metrics = {}
    for name in in_order(sorted({**a.summary, **b.summary})):
        x, y = a.summary.get(name), b.summary.get(name)
        if x != y:
            metrics[name] = [x, y, None if x is None or y is None else y - x]
    shared = a.series.keys() & b.series.keys()
    same = all(
        list(a.series[n][1]) == list(b.series[n][1]) for n in shared if not metric_of(n).timing
    )
    verdict = [a.verdict, b.verdict]
    return {
        "runs": [a.run_id, b.run_id], "config": config, "verdict": verdict, "metrics": metrics,
        "same_curves": bool(shared) and same,
    }  # fmt: skip


def difference_tables(found: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """(title, table) of two runs' differences."""
    a, b = (run[:8] for run in found["runs"])
    settings = _table("setting", a, b)
    for key, (x, y) in found["config"].items():
        settings.add_row(key, text(x), text(y))
    if found["verdict"][0] != found["verdict"][1]:
        settings.add_row("verdict", *found["verdict"])
    numbers = _table("metric", a, b, f"{b} - {a}")
    for name, (x, y, change) in found["metrics"].items():
        cells = ["-" if v is None else f"{v:.6g}" for v in (x, y)]
        numbers.add_row(name, *cells, "-" if change is None else f"{change:+.4g}")
    title = "Settings" if found["config"] else "No setting differs"
    return [(title, settings), ("Numbers that differ" if found["metrics"] else "", numbers)]


def _table(*heads: str, header: bool = True) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
