"""Tables of what is stored: a sweep or a single run, in a ledger or in MLflow.

A colleague who has the MLflow store alone sees what the owner of the ledger sees: a sweep's parent
carries one table of all runs (runs.parquet) and one of their curves (curves.parquet). Where a
sweep was cut off before it wrote them, its child runs are read one by one.
"""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.analysis.stored_runs import stored_records
from harness.analysis.table import (
    SweepTable,
    long_curves,
    make_table,
    read_curves_parquet,
    read_runs_parquet,
)  # fmt: skip
from harness.components.metrics import having, metric_of, shown_in
from harness.config.foreign import recall
from harness.records.manifests import Configs
from harness.records.record import CURVES
from harness.records.searches import study_of
from harness.tracking import own_words
from harness.tracking.addresses import redacted
from harness.tracking.choices import SEARCHED, STUDY

if TYPE_CHECKING:
    import pandas as pd

    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest
    from harness.tracking.reader import MlflowReader

ENVIRONMENT = ("version", "numerics", "torch", "platform", "device")  # tags harness.<name>
ENDED = ("FINISHED", "FAILED")
# provenance that no two runs share
OF_ONE_RUN = ("started", "seconds", "start", "start_kind", "calibration")


def ledger_table(ledger: Ledger, sweep: SweepManifest) -> SweepTable:
    """A sweep as the ledger holds it."""
    rows = ledger.table(sweep.sweep_id)
    first = next((row["run_id"] for row in rows if row["status"] == "FINISHED"), None)
    plain = ledger.read_plain(first) if first else None
    known = plain["provenance"] if plain else {}
    settings = Configs.of(sweep.configs).settings()
    kind = "run" if sweep.kind == "single" else "sweep"
    ended = len({row["run_id"] for row in rows}.union(sweep.dropped))
    meta = {
        "sweep_id": sweep.sweep_id, "kind": sweep.kind, "name": f"{kind} {sweep.sweep_id[:8]}",
        "created": sweep.created_ms / 1000, "overrides": tuple(sweep.overrides),
        "experiment": sweep.tracking.get("experiment"), "source": "ledger",
        "runs": len(sweep.run_ids), "unfinished": len(sweep.run_ids) - ended,
        "data": {"sha256": known.get("data_sha256")},
        "environment": {k: v for k, v in known.items() if k not in OF_ONE_RUN},
        **own_words.of_manifest(sweep), "confirms": dict(sweep.confirms),
    }  # fmt: skip

    if study := study_of(ledger.root, sweep.sweep_id):
        meta["search"] = study.to_plain()

    def curves() -> pd.DataFrame:
        ids = [row["run_id"] for row in rows if row["config_id"]]
        parts: dict[str, Mapping[str, Any]] = {run_id: {} for run_id in ids}
        for run_id, series in ledger.curves(ids):
            parts[run_id] = {n: series[n] for n in shown_in("curves", series)}
        return long_curves(parts)

    table = make_table(rows, settings, meta, curves)
    table.load_records = ledger.read_many
    return table


def mlflow_table(store: MlflowReader, parent: Any) -> SweepTable:
    """A sweep as MLflow and its artifacts show it."""
    from harness.tracking.reader import child_row

    tags = parent.data.tags
    recall(json.loads(tags.get("harness.components", "{}")))
    content = None if parent.info.status == "RUNNING" else store.artifact(parent, "runs.parquet")
    meta: dict[str, Any] = {
        "sweep_id": tags["harness.sweep_id"], "kind": "sweep", "name": parent.info.run_name,
        "created": parent.info.start_time / 1000,
        "experiment": store.experiments.get(parent.info.experiment_id),
        "source": redacted(store.uri),
        "mlflow_run_id": parent.info.run_id, "environment": {}, "data": {},
        **own_words.of_tags(tags), "confirms": json.loads(tags.get("harness.confirms", "{}")),
    }  # fmt: skip
    if SEARCHED in tags and (known := store.artifact(parent, STUDY)) is not None:
        meta["search"] = json.loads(known)
    if floors := {k: v for k, v in parent.data.metrics.items() if metric_of(k).of_data}:
        meta["floors"] = floors
    planned = int(tags["harness.runs"]) if "harness.runs" in tags else None
    rows: pd.DataFrame | list[dict[str, Any]]
    drawn: list[str] = []  # the curves that a table has
    some: list[Any] = []  # one finished child: its tags say what the data and the machine were
    if content is not None:
        rows, settings, overrides = read_runs_parquet(content)
        meta["overrides"] = _overrides(store, parent) if overrides is None else overrides
        meta["runs"] = len(rows)
        ended = int(rows["status"].isin(ENDED).sum()) if len(rows) else 0
        drawn = shown_in("curves", [*having(), *map(str, rows.columns)])
        if "mlflow_run_id" in rows and len(rows):
            ids = rows.loc[rows["status"] == "FINISHED", "mlflow_run_id"].dropna().tolist()
            here = [parent.info.experiment_id]
            some = store.search(f"attributes.run_id = '{ids[0]}'", experiments=here) if ids else []
        if tags.get("harness.table") == "true" and len(rows):
            some = store.table_runs(parent, str(rows["run_id"].iloc[0]))
    else:
        children = store.children(parent)
        rows = [child_row(run) for run in children]
        settings = list(dict.fromkeys(key for run in children for key in run.data.params))
        meta["runs"] = len(children)
        ended = sum(run.info.status in ENDED for run in children)
        meta["overrides"] = _overrides(store, parent)
        some = [run for run in children if run.info.status == "FINISHED"]
    if planned is not None:
        meta["runs"] = planned
        if parent.info.status != "FINISHED":  # of one that finished, halving dropped the rest
            meta["unfinished"] = planned - ended
    for run in some[:1]:
        meta |= _told(run.data.tags)
    if "mlflow.source.git.commit" in tags:
        meta["environment"]["git_commit"] = tags["mlflow.source.git.commit"]
        meta["environment"]["git_dirty"] = tags.get("harness.git_dirty") == "true"
    meta["environment"].setdefault("version", tags.get("harness.version"))

    def curves() -> pd.DataFrame:
        whole = store.artifact(parent, CURVES) if content is not None else None
        if whole is not None:
            return read_curves_parquet(whole, drawn)
        return long_curves(
            {
                run.data.tags["harness.run_id"]: store.histories(run)
                for run in store.children(parent)
            }
        )

    table = make_table(rows, settings, meta, curves)
    table.load_records = functools.partial(stored_records, store)
    return table


def single_table(store: MlflowReader, run: Any) -> SweepTable:
    """A run that was trained by itself, as MLflow shows it."""
    from harness.tracking.reader import child_row

    tags = run.data.tags
    recall(json.loads(tags.get("harness.components", "{}")))
    run_id = tags["harness.run_id"]
    meta: dict[str, Any] = {
        "sweep_id": run_id, "kind": "single", "name": run.info.run_name, "runs": 1,
        "created": run.info.start_time / 1000, "overrides": _overrides(store, run),
        "experiment": store.experiments.get(run.info.experiment_id),
        "source": redacted(store.uri), "mlflow_run_id": run.info.run_id, **_told(tags),
        **own_words.of_tags(tags),
    }  # fmt: skip

    def curves() -> pd.DataFrame:
        found, _ = store.curves(run)
        return long_curves({run_id: {n: found[n] for n in shown_in("curves", found)}})

    table = make_table([child_row(run)], list(run.data.params), meta, curves)
    table.load_records = functools.partial(stored_records, store)
    return table


def _told(tags: Mapping[str, str]) -> dict[str, Any]:
    """What a run's tags say of its data and of the machine."""
    from harness.tracking.reader import setting

    known = {k: setting(tags[f"harness.{k}"]) for k in ENVIRONMENT if f"harness.{k}" in tags}
    return {"data": {"sha256": tags.get("harness.data_sha256")}, "environment": known}


def _overrides(store: MlflowReader, parent: Any) -> tuple[str, ...]:
    """The overrides a sweep was started with: a tag, or an older parent's overrides.yaml."""
    if "harness.overrides" in parent.data.tags:
        return tuple(shlex.split(parent.data.tags["harness.overrides"]))
    content = store.artifact(parent, "overrides.yaml")
    lines = (content or b"").decode().splitlines()
    return tuple(json.loads(line[2:]) for line in lines if line.startswith("- "))
