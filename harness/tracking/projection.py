"""What MLflow is told of a run or a sweep, as plain names and values. Knows nothing of MLflow.

Timestamps are the sweep's creation time plus the step, so that writing again writes the same.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.components.metrics import metric_of, select
from harness.records.record import RunRecord, environment, table_row
from harness.records.saved import overrides_of
from harness.records.verdicts import words
from harness.system import KEYS
from harness.tracking.entries import Point

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.records.manifests import SweepManifest

TAG_LENGTH = 5000  # characters of a tag's value; MLflow's own limit has changed over the years
STEP_POINTS = 26  # points of each series in MLflow, about; all are in curves.parquet


def param_values(settings: Mapping[str, Any]) -> dict[str, str]:
    """Flat settings as MLflow params: group.key -> text."""
    return {key: text(value) for key, value in settings.items()}


def text(value: Any) -> str:
    """A setting's value as MLflow shows it."""
    if isinstance(value, str):
        shown = value
    elif isinstance(value, (list, tuple)):
        shown = json.dumps(list(value), separators=(",", ":"))
    else:
        shown = "null" if value is None else str(value).lower()
    return shown[:6000]  # MLflow cuts there too, but without a word


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
        for name in select(values, live=True)
        if math.isfinite(values[name])
    ]


def record_points(record: RunRecord, created_ms: int, *, floors: bool) -> list[Point]:
    """All of a finished run's points; those of its data where the sweep cannot carry them.

    Final values stand at step 0: MLflow draws a metric without later steps as bars that compare
    runs, and any other as a curve, here of a single dot.
    """
    train = record.config.train
    plan = step_plan(train.steps, train.eval_every)
    out: list[Point] = []
    for name in select(record.series, live=True):
        steps, values = record.series[name]
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            if step in plan or step == steps[-1]:
                out.append((name, value, created_ms + step, step))
    shown = {name for name, *_ in out}
    for name, value in record.summary.items():
        if name not in shown and (floors or not metric_of(name).of_data):
            out.append((name, value, created_ms, 0))
    return out


def run_tags(record: RunRecord, weights_sha256: str | None) -> dict[str, str]:
    """Tags of a finished run: its ids, verdict, and what a reproduction must compare with.

    weights_sha256: of its weights as the ledger keeps them, in whose place they may stand.
    """
    tags = {
        "harness.run_id": record.run_id,
        "harness.config_id": record.config_id,
        "harness.verdict": record.verdict,
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
    if weights_sha256:
        tags["harness.weights_sha256"] = weights_sha256
    tags["harness.overrides"] = overrides_text(overrides_of(record.config))
    start = record.provenance.get("start")
    if start:
        tags["harness.start"] = str(start)[:TAG_LENGTH]
    if "start_kind" in known:
        tags["harness.start_kind"] = str(known["start_kind"])
    if record.warnings:
        tags["harness.warnings"] = "\n".join(record.warnings)[:TAG_LENGTH]
    return tags


def overrides_text(overrides: Sequence[str]) -> str:
    """Overrides as one line for a shell; where a tag cannot hold them all, the rest is "..."."""
    line = " ".join(shlex.quote(word) for word in overrides)
    if len(line) <= TAG_LENGTH:
        return line
    return line[: line.rfind(" ", 0, TAG_LENGTH - 4) + 1] + "..."


def run_note(record: RunRecord) -> str:
    """What a run's page says first, in Markdown."""
    known = record.summary
    told = [f"**{words(table_row(record.to_plain()))}**"]

    def tell(text: str, *names: str) -> None:
        if all(name in known for name in names):
            told.append(text.format(*(known[name] for name in names)))

    tell("first loss {:.4f}, expected {:.4f}", "init/loss_measured", "init/loss_expected")
    tell("lowest nll/val {:.4f} at step {:.0f}", "best/nll_val", "best/step")
    tell("at the end {:.4f}", "nll/val")
    more = [("harness reproduce", "trains it again and compares every bit")]
    if record.symbols:
        more.append(("harness sample", "draws words from it"))
    commands = "; ".join(f"`{verb} {record.run_id}` {does}" for verb, does in more)
    return f"{'; '.join(told)}.\n\n{commands}."


def own_tags(sweep: SweepManifest) -> dict[str, str]:
    """The user's own tags, and name and note as they were given."""
    given = {f"harness.{key}": sweep.tracking.get(key) for key in ("run_name", "note")}
    words = {key: str(text) for key, text in given.items() if text}
    return dict(sweep.tracking.get("tags", {})) | words


def source_tags(sweep: SweepManifest) -> dict[str, str]:
    """The code that writes: its version, commit, whether its tree was changed, and the command."""
    here = environment()
    tags = {"mlflow.source.type": "LOCAL", "harness.version": str(here["version"])}
    tags["mlflow.source.name"] = "harness train" if sweep.kind == "single" else "harness sweep"
    if "git_commit" in here:
        tags["mlflow.source.git.commit"] = here["git_commit"]
        tags["harness.git_dirty"] = str(here["git_dirty"]).lower()
    return tags


def dataset_of(record: RunRecord) -> dict[str, str]:
    """name, digest, source and profile of a run's data; the user's folders are not named."""
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
