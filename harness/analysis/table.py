"""Sweeps as tables, for comparing and reporting (see sources for reading them).

table.runs, table.curves, table.settings, table.metrics, table.varying, table.meta
"""

from __future__ import annotations

import io
import json
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.components.metrics import metric_of
from harness.config.automatic import FOLLOWS, follows, spelled
from harness.config.run import RunConfig
from harness.errors import ConfigError, nearest, shown

if TYPE_CHECKING:
    import pandas as pd

    from harness.records.record import RunRecord

SEEDS = ("seed", "init.seed", "train.batch_seed", "data.split_seed")
IDS = ("status", "name", "run_id", "config_id", "verdict", "start", "machine", "sweep_id",
       "mlflow_run_id", "error")  # fmt: skip
SOURCES_OF_THEM = ("data.name", "init.bias", "optim.lr", "train.steps", "seed")  # see FOLLOWS
Load = Callable[[Sequence[str]], "Mapping[str, RunRecord]"]
CURVE_COLUMNS = ("run_id", "name", "step", "value")


@dataclass(repr=False)
class SweepTable:
    """All runs of one sweep, or of several.

    runs: one row a run. Ids first (see IDS; status is FINISHED, FAILED, RUNNING or KILLED), then
    `settings` (group.key, plain Python values, lists as tuples, None for null), then `metrics`
    (floats, nan where a run has none) and "warnings" (how many).
    meta: sweep_id, name, created (unix s), overrides, experiment, floors {name: nats}, data
    {name, sha256, ...}, environment {version, git_commit, ...}, source ("ledger" or the address);
    runs: how many it has, unfinished: of how many of them nothing is known yet. `sweeps` lists
    these for each sweep read; the top level is the first one's.
    """

    runs: pd.DataFrame
    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    meta: dict[str, Any]
    load_curves: Callable[[], pd.DataFrame] = field(repr=False, default=lambda: _no_curves())
    # a few runs whole, with weights where kept, by their ids; what is not there is absent
    load_records: Load = field(repr=False, default=lambda _: {})

    def __repr__(self) -> str:
        found, names = len(self.runs), ", ".join(self.varying[:6])
        more = f" and {len(self.varying) - 6} more" if len(self.varying) > 6 else ""
        what = str(self.meta.get("sweep_id") or "of records")[:8]
        return f"<SweepTable {what}: {found:,} runs over {names or 'nothing'}{more}>"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Long table run_id, name, step, value; read on first use. At least loss/* and nll/*."""
        return self.load_curves()

    @property
    def unfinished(self) -> int:
        """Runs of these sweeps that still train, wait, or were stopped with the sweep."""
        return sum(one.get("unfinished", 0) for one in self.meta["sweeps"])

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Settings that differ between the runs, in the order of the config, seeds too.

        One that follows another in all of them, such as optim.embed_lr, does not vary by itself.
        """
        return tuple(
            key for key in self.settings
            if _differs(self.runs[key]) and not follows(self.following, key)
        )  # fmt: skip

    @cached_property
    def following(self) -> list[dict[str, Any]]:
        """The runs' settings that may follow others, and those others (see config.automatic)."""
        return self.rows([*FOLLOWS, *SOURCES_OF_THEM])

    def rows(self, columns: Iterable[str] = ()) -> list[dict[str, Any]]:
        """The runs as plain rows, of these columns or of all; missing numbers are nan or None."""
        return plain_rows(self.runs, columns)

    @property
    def varying_settings(self) -> tuple[str, ...]:
        """`varying` without the seeds: what tells one configuration from another."""
        return tuple(key for key in self.varying if key not in SEEDS)


def plain_rows(frame: pd.DataFrame, columns: Iterable[str] = ()) -> list[dict[str, Any]]:
    """A table's rows as dicts, of those columns that it has, or of all where none are named."""
    wanted = dict.fromkeys(c for c in columns if c in frame) if columns else frame
    return [
        {str(key): value for key, value in row.items()}
        for row in frame[list(wanted)].to_dict("records")
    ]


def table_of(records: Iterable[RunRecord]) -> SweepTable:
    """Records in memory, such as `harness.train` returns, as a table."""
    from harness.records.record import table_row

    records = list(records)
    rows, names = [], []
    for record in records:
        plain = record.to_plain()
        rows.append({"status": "FINISHED", "name": record.run_id, **table_row(plain)})
        names += [n for n in record.config.flat() if n not in names]

    def curves() -> pd.DataFrame:
        return long_curves({r.run_id: r.series for r in records})

    first = records[0].provenance if records else {}
    meta = {
        "sweep_id": None, "name": "", "created": first.get("started"), "overrides": (),
        "experiment": None, "source": "memory", "data": {"sha256": first.get("data_sha256")},
        "environment": {k: v for k, v in first.items() if k not in ("started", "seconds")},
    }  # fmt: skip
    table = make_table(rows, names, meta, curves)
    table.load_records = lambda ids: {r.run_id: r for r in records if r.run_id in ids}
    return table


def make_table(
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame, settings: Sequence[str],
    meta: Mapping[str, Any], curves: Callable[[], pd.DataFrame],
) -> SweepTable:  # fmt: skip
    """Bring rows into the form that SweepTable promises, and fill in the floors.

    An empty sweep (nothing finished yet) has no metrics; ConfigError on rows without a run_id.
    """
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    frame = frame.reset_index(drop=True)
    if "run_id" not in frame and len(frame):
        raise ConfigError("the table of runs has no run_id; it was not written by harness.")
    data: dict[str, Any] = {}
    for key in IDS:
        data[key] = _objects(frame[key]) if key in frame else [None] * len(frame)
    data["sweep_id"] = [meta.get("sweep_id")] * len(frame)
    order = {key: place for place, key in enumerate(RunConfig().flat())}
    known = sorted((k for k in settings if k in frame), key=lambda k: order.get(k, len(order)))
    columns = [_objects(frame[key]) for key in known]
    own = spelled([dict(zip(known, row, strict=True)) for row in zip(*columns, strict=True)])
    data |= {key: [flat[key] for flat in own] for key in known}
    metrics = []
    for key in frame.columns:
        if key in IDS or key in known:
            continue
        column = pd.to_numeric(frame[key], errors="coerce")
        data[key] = column.astype(float).to_numpy()
        if key != "warnings" and column.notna().any():
            metrics.append(str(key))
    metrics.sort()
    runs = pd.DataFrame({k: _column(v) for k, v in data.items()})
    full: dict[str, Any] = {"floors": _floors(runs, metrics), **meta}
    for key in ("data.name", "data.path", "data.fraction", "data.block_size"):
        values = {*_objects(runs[key])} if key in runs else set()
        if len(values) == 1:
            full["data"] = {key[5:]: values.pop(), **full.get("data", {})}
    full.setdefault("sweeps", [{k: v for k, v in full.items() if k != "sweeps"}])
    return SweepTable(runs, tuple(known), tuple(metrics), full, curves)


def join(tables: Sequence[SweepTable]) -> SweepTable:
    """Several sweeps as one table; a run that stands in two of them is kept once."""
    import pandas as pd

    settings = list(dict.fromkeys(key for table in tables for key in table.settings))
    rows: list[dict[str, Any]] = []
    for table in tables:
        rows += [{str(k): v for k, v in r.items()} for r in table.runs.to_dict("records")]
    homes = [row["sweep_id"] for row in rows]
    keep = ~pd.Series([row["run_id"] for row in rows], dtype=object).duplicated().to_numpy()
    meta = dict(tables[0].meta)
    meta["sweeps"] = [one for table in tables for one in table.meta["sweeps"]]
    meta["name"] = " + ".join(str(table.meta.get("name", "")) for table in tables)
    for own in ("floors", "data", "search", "confirms"):  # of one sweep
        meta.pop(own, None)

    def curves() -> pd.DataFrame:
        every = pd.concat([table.curves for table in tables], ignore_index=True)
        return every.drop_duplicates(["run_id", "name", "step"], ignore_index=True)

    out = make_table([r for r, k in zip(rows, keep, strict=True) if k], settings, meta, curves)
    out.load_records = lambda ids: dict(ChainMap(*(dict(t.load_records(ids)) for t in tables)))
    out.runs["sweep_id"] = [h for h, k in zip(homes, keep, strict=True) if k]
    return out


def long_curves(parts: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """run_id -> name -> (steps, values) as one long table."""
    import numpy as np
    import pandas as pd

    ids, names, steps, values = [], [], [], []
    for run_id, series in parts.items():
        for name, (at, value) in series.items():
            ids.append(np.full(len(at), run_id, dtype=object))
            names.append(np.full(len(at), name, dtype=object))
            steps.append(np.asarray(at, dtype=np.int64))
            values.append(np.asarray(value, dtype=np.float64))
    if not ids:
        return _no_curves()
    columns = (np.concatenate(part) for part in (ids, names, steps, values))
    return pd.DataFrame(dict(zip(CURVE_COLUMNS, columns, strict=True)))


def read_runs_parquet(
    content: bytes,
) -> tuple[pd.DataFrame, list[str], tuple[str, ...] | None]:
    """(rows, names of the settings, overrides if known) of a parent's runs.parquet."""
    import pyarrow.parquet as pq

    from harness.tracking.pages import TAGS

    table = pq.read_table(io.BytesIO(content))
    note = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    frame = table.to_pandas()
    for key in json.loads(note.get("harness.json", "[]")):
        frame[key] = [None if v is None else json.loads(v) for v in _objects(frame[key])]
    settings = json.loads(note.get("harness.settings", "[]"))
    frame = frame.drop(columns=TAGS, errors="ignore")  # for who asks for one run
    overrides = note.get("harness.overrides")
    return frame, settings, None if overrides is None else tuple(json.loads(overrides))


def read_curves_parquet(content: bytes, names: Sequence[str]) -> pd.DataFrame:
    """The long table of these series in a parent's curves.parquet."""
    import pyarrow.parquet as pq

    named = [("name", "in", list(names))]
    frame: pd.DataFrame = pq.read_table(io.BytesIO(content), filters=named).to_pandas()
    # categories would sort and group by their order in the file, unlike what a ledger gives
    return frame[list(CURVE_COLUMNS)].astype({"run_id": "str", "name": "str"})


def known_column(table: SweepTable, key: str) -> str:
    """A setting, metric or id of the table by its name or its unique last part, else ConfigError.

    "loss" stands for loss.name, "weight_scale" for init.weight_scale.
    """
    every = [*table.settings, *table.metrics, "verdict", "status", "run_id", "config_id"]
    if key in every:
        return key
    if f"{key}.name" in every:
        return f"{key}.name"
    ends = [name for name in table.settings if name.rpartition(".")[2] == key]
    if len(ends) == 1:
        return ends[0]
    hint = f" Did you mean {' or '.join(ends)}?" if ends else nearest(key, every)
    varying = ", ".join(table.varying_settings[:6])
    raise ConfigError(
        f"{shown(key)} is no setting or metric of these runs; allowed: a setting (varying here: "
        f"{varying or 'none'}) or a metric (`harness show RUN` lists them).{hint}"
    )


def _floors(runs: pd.DataFrame, metrics: Iterable[str]) -> dict[str, float]:
    """floor/* that all runs share; where data differ between runs, those that still agree."""
    out = {}
    for name in metrics:
        if metric_of(name).of_data:
            values = runs[name].dropna().unique()
            if len(values) == 1:
                out[name] = float(values[0])
    return out


def _objects(column: Any) -> list[Any]:
    """A column's plain Python values: None for missing, tuples for lists."""
    out = []
    for value in column.tolist():
        if isinstance(value, list):
            value = tuple(value)
        out.append(None if isinstance(value, float) and value != value else value)
    return out


def _column(values: Any) -> Any:
    """Objects stay objects: pandas would turn None among numbers into nan."""
    import pandas as pd

    return pd.Series(values, dtype=object) if isinstance(values, list) else values


def _differs(column: Any) -> bool:
    return len({repr(value) for value in column.tolist()}) > 1


def _no_curves() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({key: [] for key in CURVE_COLUMNS})
