"""Where sweeps are found: a ledger first, where one is at hand, and any MLflow store.

    table = read_sweep()                                  # the newest sweep
    table = read_sweep(["1f3a", "experiment-name"], uri="http://server:5000")

A colleague who has the MLflow store alone sees what the owner of the ledger sees: a sweep's parent
carries one table of all runs (runs.parquet) and one of their curves (curves.parquet). Where a
sweep was cut off before it wrote them, its child runs are read one by one.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analysis.table import (
    SweepTable,
    join,
    long_curves,
    make_table,
    read_curves_parquet,
    read_runs_parquet,
)  # fmt: skip
from harness.config.foreign import recall
from harness.config.run import unnest
from harness.errors import ConfigError, nearest, shown
from harness.records.ledger import Ledger
from harness.records.record import CURVES
from harness.tracking.addresses import redacted

if TYPE_CHECKING:
    import pandas as pd

    from harness.records.manifests import SweepManifest
    from harness.tracking.reader import MlflowReader

OF_ONE_RUN = (
    "started",
    "seconds",
    "start",
    "start_kind",
    "calibration",
)  # provenance that no two runs share
STEP_SERIES = ("loss/train", "loss/val", "nll/train", "nll/val", "penalty")
ENVIRONMENT = ("version", "numerics", "torch", "platform", "device")  # tags harness.<name>


def read_sweep(
    selector: str | Sequence[str] = "newest", *, uri: str | None = None,
    ledger: Ledger | str | os.PathLike[str] | None = None,
) -> SweepTable:  # fmt: skip
    """One sweep, or several together, as a table; ConfigError where there is none such.

    selector: "newest", "all", a sweep id or its first digits, the MLflow id of a sweep's parent,
    or the name of an experiment (all its sweeps); or several of these. With `ledger` (an object or
    its folder) sweeps are looked for there first, then in MLflow at `uri`, as tracking.uri.
    """
    wanted = [selector] if isinstance(selector, str) else list(selector)
    tables = find_sweeps(wanted or ["newest"], uri=uri, ledger=ledger)
    return tables[0] if len(tables) == 1 else join(tables)


def find_sweeps(
    selectors: Sequence[str], *, uri: str | None = None,
    ledger: Ledger | str | os.PathLike[str] | None = None,
) -> list[SweepTable]:  # fmt: skip
    """One table a sweep, in the order asked for; ConfigError for what is in neither place."""
    shelf = Ledger(ledger) if isinstance(ledger, (str, os.PathLike)) else ledger
    own = shelf.sweeps() if shelf is not None else []
    tables: dict[str, SweepTable] = {}
    store: MlflowReader | None = None
    for selector in selectors:
        found = _among(selector, [sweep.sweep_id for sweep in own])
        if found and shelf is not None:
            for sweep in own:
                if sweep.sweep_id in found and sweep.sweep_id not in tables:
                    tables[sweep.sweep_id] = ledger_table(shelf, sweep)
            continue
        if store is None:
            store = _store(uri, selector, shelf, [sweep.sweep_id for sweep in own])
        for parent in _parents(store, selector, [sweep.sweep_id for sweep in own]):
            tables.setdefault(parent.data.tags["harness.sweep_id"], mlflow_table(store, parent))
    return list(tables.values())


def _store(
    uri: str | None, selector: str, shelf: Ledger | None, own: Sequence[str]
) -> MlflowReader:
    from harness.tracking.reader import MlflowReader

    try:
        return MlflowReader(uri)
    except ConfigError as error:
        if shelf is None:
            raise
        if own:
            raise _unknown(selector, own) from error
        raise ConfigError(f"there is no sweep in {shelf.root}, and {error}") from error


def _among(selector: str, ids: Sequence[str]) -> list[str]:
    """Sweep ids that a selector names, of those listed newest first."""
    if selector == "newest":
        return list(ids[:1])
    if selector == "all":
        return list(ids)
    found = [one for one in ids if selector and one.startswith(selector)]
    if len(found) > 1 and selector not in found:
        raise ConfigError(f"sweep {shown(selector)} is not unique: {', '.join(found[:5])}.")
    return found


def _parents(store: MlflowReader, selector: str, own: Sequence[str]) -> list[Any]:
    every = store.parents()
    by_id = {run.data.tags["harness.sweep_id"]: run for run in reversed(every)}
    ids = [run.data.tags["harness.sweep_id"] for run in every]
    found = [by_id[one] for one in _among(selector, list(dict.fromkeys(ids)))]
    if not found:
        found = [run for run in every if run.info.run_id == selector]
    if not found:
        homes = [i for i, name in store.experiments.items() if name == selector]
        found = [run for run in every if run.info.experiment_id in homes]
    if not found:
        if selector in ("newest", "all"):
            raise ConfigError(
                f"there is no sweep at {redacted(store.uri)}; start one with `harness sweep`."
            )
        raise _unknown(selector, [*own, *ids, *store.experiments.values()])
    return found


def _unknown(selector: str, known: Sequence[str]) -> ConfigError:
    names = list(dict.fromkeys(known))
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return ConfigError(
        f"there is no sweep {shown(selector)}; allowed: newest, all, the first digits of a sweep's "
        f"id, or an experiment's name; known: {few or 'none'} (see `harness list`)."
        f"{nearest(selector, names)}"
    )


def ledger_table(ledger: Ledger, sweep: SweepManifest) -> SweepTable:
    """A sweep as the ledger holds it."""
    rows = ledger.table(sweep.sweep_id)
    first = next((row["run_id"] for row in rows if row["status"] == "FINISHED"), None)
    plain = ledger.read_plain(first) if first else None
    known = plain["provenance"] if plain else {}
    settings = list(dict.fromkeys(k for config in sweep.configs.values() for k in unnest(config)))
    meta = {
        "sweep_id": sweep.sweep_id, "name": f"sweep {sweep.sweep_id[:8]}",
        "created": sweep.created_ms / 1000, "overrides": tuple(sweep.overrides),
        "experiment": sweep.tracking.get("experiment"), "source": "ledger",
        "runs": len(sweep.run_ids), "data": {"sha256": known.get("data_sha256")},
        "environment": {k: v for k, v in known.items() if k not in OF_ONE_RUN},
    }  # fmt: skip

    def curves() -> pd.DataFrame:
        ids = [row["run_id"] for row in rows if row["config_id"]]
        parts: dict[str, Mapping[str, Any]] = {run_id: {} for run_id in ids}
        for run_id, series in ledger.curves(ids):
            parts[run_id] = {n: series[n] for n in STEP_SERIES if n in series}
        return long_curves(parts)

    return make_table(rows, settings, meta, curves)


def mlflow_table(store: MlflowReader, parent: Any) -> SweepTable:
    """A sweep as MLflow and its artifacts show it."""
    from harness.tracking.reader import child_row, setting

    tags = parent.data.tags
    recall(json.loads(tags.get("harness.components", "{}")))
    content = None if parent.info.status == "RUNNING" else store.artifact(parent, "runs.parquet")
    meta: dict[str, Any] = {
        "sweep_id": tags["harness.sweep_id"], "name": parent.info.run_name,
        "created": parent.info.start_time / 1000,
        "experiment": store.experiments.get(parent.info.experiment_id),
        "source": redacted(store.uri),
        "mlflow_run_id": parent.info.run_id, "environment": {}, "data": {},
    }  # fmt: skip
    if floors := {k: v for k, v in parent.data.metrics.items() if k.startswith("floor/")}:
        meta["floors"] = floors
    rows: pd.DataFrame | list[dict[str, Any]]
    some: list[Any] = []  # one finished child: its tags say what the data and the machine were
    if content is not None:
        rows, settings, overrides = read_runs_parquet(content)
        meta["overrides"] = _overrides(store, parent) if overrides is None else overrides
        meta["runs"] = len(rows)
        if "mlflow_run_id" in rows and len(rows):
            ids = rows.loc[rows["status"] == "FINISHED", "mlflow_run_id"].dropna().tolist()
            here = [parent.info.experiment_id]
            some = store.search(f"attributes.run_id = '{ids[0]}'", experiments=here) if ids else []
    else:
        children = store.children(parent)
        rows = [child_row(run) for run in children]
        settings = list(dict.fromkeys(key for run in children for key in run.data.params))
        meta["runs"] = len(children)
        meta["overrides"] = _overrides(store, parent)
        some = [run for run in children if run.info.status == "FINISHED"]
    for run in some[:1]:
        own = run.data.tags
        meta["data"] = {"sha256": own.get("harness.data_sha256")}
        meta["environment"] = {
            key: setting(own[f"harness.{key}"]) for key in ENVIRONMENT if f"harness.{key}" in own
        }
    if "mlflow.source.git.commit" in tags:
        meta["environment"]["git_commit"] = tags["mlflow.source.git.commit"]
        meta["environment"]["git_dirty"] = tags.get("harness.git_dirty") == "true"
    meta["environment"].setdefault("version", tags.get("harness.version"))

    def curves() -> pd.DataFrame:
        whole = store.artifact(parent, CURVES) if content is not None else None
        if whole is not None:
            return read_curves_parquet(whole, STEP_SERIES)
        return long_curves(
            {
                run.data.tags["harness.run_id"]: store.histories(run)
                for run in store.children(parent)
            }
        )

    return make_table(rows, settings, meta, curves)


def _overrides(store: MlflowReader, parent: Any) -> tuple[str, ...]:
    """The overrides a sweep was started with: a tag, or an older parent's overrides.yaml."""
    if "harness.overrides" in parent.data.tags:
        return tuple(shlex.split(parent.data.tags["harness.overrides"]))
    content = store.artifact(parent, "overrides.yaml")
    lines = (content or b"").decode().splitlines()
    return tuple(json.loads(line[2:]) for line in lines if line.startswith("- "))
