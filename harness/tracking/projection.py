"""What MLflow is told of a run or a sweep, as plain names and values. Knows nothing of MLflow.

Timestamps are the sweep's creation time plus the step, so that writing again writes the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.config.labels import short_name
from harness.config.run import unnest
from harness.records.durable import digest
from harness.records.ranking import ranking
from harness.records.record import (
    Curve,
    RunRecord,
    environment,
    table_parquet,
    weights_bytes,
)
from harness.system import KEYS

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.records.manifests import SweepManifest

STEP_SERIES = ("loss/train", "loss/val", "nll/train", "nll/val")  # the rest: final value only
STEP_POINTS = 26  # points of each of them in MLflow, about; all are in curves.parquet
Point = tuple[str, float, int, int]  # name, value, unix ms, step

EXPERIMENT_NOTE = """Runs of **harness**: initial loss and overfitting, compared.

A sweep is a parent run, its runs are nested under it and named by what varies. Losses are in nats
per character on whole splits: `loss/*` in the run's own units, `nll/*` cross-entropy of
softmax(logits), which can be compared between losses; `gap/*` is validation minus training;
`init/*` is the first loss, expected and measured. The tag `harness.verdict` says underfit, fit,
overfit or diverged: filter by `tags."harness.verdict" = 'overfit'`. Full curves are in each run's
`curves.parquet`, all runs in the parent's `runs.parquet`.
"""


def param_values(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as MLflow params: group.key -> text."""
    return {key: _text(value) for key, value in unnest(config).items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, (list, tuple)):
        text = json.dumps(list(value), separators=(",", ":"))
    else:
        text = "null" if value is None else str(value).lower()
    return text[:6000]  # MLflow cuts there too, but without a word


@lru_cache(maxsize=256)
def step_plan(steps: int, eval_every: int | None) -> frozenset[int]:
    """The evaluation steps that MLflow is shown, fixed before training begins."""
    every = eval_every or max(1, math.ceil(steps / 20))
    planned = [*range(0, steps, every), steps]
    index = np.linspace(0, len(planned) - 1, min(STEP_POINTS, len(planned))).round().astype(int)
    return frozenset(planned[i] for i in index)


def live_points(
    config: RunConfig, step: int, values: Mapping[str, float], created_ms: int
) -> list[Point]:
    """The part of one evaluation that is shown while training goes on."""
    if step not in step_plan(config.train.steps, config.train.eval_every):
        return []
    return [
        (name, float(values[name]), created_ms + step, step)
        for name in STEP_SERIES
        if name in values and math.isfinite(values[name])
    ]


def record_points(record: RunRecord, created_ms: int, *, floors: bool) -> list[Point]:
    """All of a finished run's points; `floor/*` only where the sweep's parent cannot carry them.

    Final values stand at step 0: MLflow draws a metric without later steps as bars that compare
    runs, and any other as a curve, here of a single dot.
    """
    train = record.config.train
    plan = step_plan(train.steps, train.eval_every)
    out: list[Point] = []
    for name in STEP_SERIES:
        if name in record.series:
            steps, values = record.series[name]
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                if step in plan or step == steps[-1]:
                    out.append((name, value, created_ms + step, step))
    shown = {name for name, *_ in out}
    for name, value in record.summary.items():
        if name not in shown and (floors or not name.startswith("floor/")):
            out.append((name, value, created_ms, 0))
    return out


def step_series(record: RunRecord) -> dict[str, Curve]:
    """The curves that MLflow shows step by step."""
    return {name: record.series[name] for name in STEP_SERIES if name in record.series}


def run_tags(record: RunRecord) -> dict[str, str]:
    """Tags of a finished run: its ids, verdict, and what a reproduction must compare with."""
    tags = {
        "harness.run_id": record.run_id,
        "harness.config_id": record.config_id,
        "harness.verdict": record.verdict,
        "mlflow.note.content": run_note(record),
    }
    known = record.provenance
    for key in ("version", "data_sha256", "numerics", "platform", "calibration", *KEYS):
        if key in known:
            tags[f"harness.{key}"] = str(known[key])
    if "git_commit" in known:
        tags["mlflow.source.git.commit"] = str(known["git_commit"])
        tags["harness.git_dirty"] = str(known.get("git_dirty", False)).lower()
    if "components" in known:
        tags["harness.components"] = json.dumps(known["components"])
    if record.weights:
        tags["harness.weights_sha256"] = digest(weights_bytes(record.weights))
    start = record.provenance.get("start")
    if start:
        tags["harness.start"] = str(start)[:5000]
    if "start_kind" in known:
        tags["harness.start_kind"] = str(known["start_kind"])
    if record.warnings:
        tags["harness.warnings"] = "\n".join(record.warnings)[:5000]
    return tags


def run_note(record: RunRecord) -> str:
    """What a run's page says first, in Markdown."""
    known = record.summary
    told = [f"**{record.verdict}**"]
    for text, names in (
        ("first loss {:.4f}, expected {:.4f}", ("init/loss_measured", "init/loss_expected")),
        ("lowest nll/val {:.4f} at step {:.0f}", ("best/nll_val", "best/step")),
        ("at the end {:.4f}", ("nll/val",)),
        ("{:.4f} above nll/train", ("gap/nll",)),
    ):
        if all(name in known for name in names):
            told.append(text.format(*(known[name] for name in names)))
    more = [("harness reproduce", "trains it again and compares every bit")]
    if record.symbols:
        more.append(("harness sample", "draws words from it"))
    commands = "; ".join(f"`{verb} {record.run_id}` {does}" for verb, does in more)
    return f"{'; '.join(told)}.\n\n{commands}."


def source_tags(sweep: SweepManifest) -> dict[str, str]:
    """The code that writes: its version, commit, whether its tree was changed, and the command."""
    here = environment()
    tags = {"mlflow.source.type": "LOCAL", "harness.version": str(here["version"])}
    tags["mlflow.source.name"] = "harness train" if sweep.kind == "single" else "harness sweep"
    if "git_commit" in here:
        tags["mlflow.source.git.commit"] = here["git_commit"]
        tags["harness.git_dirty"] = str(here["git_dirty"]).lower()
    return tags


def parent_name(sweep: SweepManifest) -> str:
    """A sweep's name in lists: the start of its id, and what varies, seeds last."""
    short = [short_name(key) for key in sweep.varying]
    seeds = [name for name in short if name.endswith("seed")]
    told = " x ".join([name for name in short if name not in seeds] + seeds)
    return f"sweep {sweep.sweep_id[:8]}{': ' if told else ''}{told}"[:120]


def parent_tags(sweep: SweepManifest) -> dict[str, str]:
    """Tags of a sweep's parent at its beginning."""
    own = {"harness.kind": "sweep", "harness.sweep_id": sweep.sweep_id}
    return (
        own
        | size_tags(sweep)
        | {"mlflow.note.content": description(sweep, [])}
        | source_tags(sweep)
    )


def size_tags(sweep: SweepManifest) -> dict[str, str]:
    """How many runs a sweep has, and what varies, for whoever lists sweeps."""
    return {
        "harness.runs": str(len(sweep.run_ids)),
        "harness.varying": json.dumps(list(sweep.varying)),
    }


def dataset_of(record: RunRecord) -> dict[str, str]:
    """name, digest, source and profile of a run's data; no folder of the user's is named."""
    data = record.config.data
    sha = str(record.provenance.get("data_sha256", ""))
    name = Path(data.path).stem if data.path else data.name
    source = {"name": data.name, "sha256": sha}
    profile = {"symbols": len(record.symbols), "fraction": data.fraction, "split": list(data.split)}
    return {
        "name": name or data.name, "digest": sha[:36] or "unknown",
        "source": json.dumps(source), "profile": json.dumps(profile),
    }  # fmt: skip


def data_varies(sweep: SweepManifest) -> bool:
    """Whether the runs of a sweep see different data, so that floors belong to each run."""
    return any(key.startswith("data.") for key in sweep.varying)


def description(sweep: SweepManifest, rows: Sequence[Mapping[str, Any]]) -> str:
    """What a sweep's page says first, in Markdown."""
    lines = [f"**{len(sweep.run_ids)} runs** of `harness`, sweep `{sweep.sweep_id}`."]
    if sweep.varying:
        lines.append("\nWhat varies:\n")
        for key in sweep.varying:
            seen = {_text(_at(sweep.configs[run_id], key)) for run_id in sweep.run_ids}
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
    lines.append("\nAll runs in `runs.parquet`; `harness compare` and `harness report` read it.")
    return "\n".join(lines)


def _order(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def _at(nested: Mapping[str, Any], key: str) -> Any:
    value: Any = nested
    for part in key.split("."):
        value = value[part]
    return value


def runs_parquet(rows: Sequence[Mapping[str, Any]], settings: Iterable[str]) -> bytes:
    """One table of all runs as parquet: a row a run, columns as in Ledger.table.

    Lists and columns of mixed kinds are held as JSON text. The schema's metadata names the
    columns that are settings ("harness.settings") and those that are JSON ("harness.json").
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
    return table_parquet(pa.table(arrays).replace_schema_metadata(note))
