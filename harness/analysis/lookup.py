"""One finished run by any of its names: from the ledger, else from MLflow and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.places import Folder, Places, places
from harness.analysis.sources import LATEST, find_sweeps
from harness.analysis.stored_runs import record_among
from harness.analysis.table import join
from harness.errors import ConfigError, nearest, shown
from harness.records.ranking import READ, ranking
from harness.records.saved import read_config

if TYPE_CHECKING:
    import os

    from harness.records.modules import TrainedNet
    from harness.records.record import RunRecord
    from harness.tracking.reader import MlflowReader

MLFLOW_DIGITS = 32  # of an MLflow run id; a run_id has 16
BEST = "best"


def load_run(
    run: str | os.PathLike[str], *, ledger: Folder | None = None, uri: str | None = None
) -> TrainedNet:
    """The trained network of a run, a torch.nn.Module in evaluation mode.

        net = load_run("7c5ead9f")
        p_BV = net(net.encode(["", "em"])).softmax(-1)      # net.symbols names the columns

    Contexts (B, T) int64 in, logits (B, V) out (see modules.TrainedNet). Errors as `find_record`,
    and HarnessError where the run's weights were not kept.
    """
    from harness.records.modules import module_of

    record = find_record(run, places(ledger, uri))
    return module_of(record.config, record.weights, record.symbols)


def find_record(run: str | os.PathLike[str], where: Places | None = None) -> RunRecord:
    """The record of a run by any of its names.

    A run_id or the start of one, an MLflow run id, a saved config's file, "best" (of the newest
    sweep), "best:SWEEP" or "newest" (see `run_named`). From MLflow alone a record has settings,
    numbers, weights (where kept) and symbols, but no curves. ConfigError where no run answers to
    the name, or several do.
    """
    where = where or places()
    name = _of_config(Path(run)) if str(run).endswith((".yaml", ".yml")) else str(run)
    name = run_named(name, where)
    home = where.ledger
    if home is not None and any(one.startswith(name) for one in home.run_ids() if name):
        record = home.read(home.find_run(name))
        if record is not None:
            return record
    return _from_mlflow(name, where)


def run_named(name: str, where: Places) -> str:
    """The run_id that "newest", "best" or "best:SWEEP" means; any other name as it is.

    newest: of the newest sweep or single run, the last one that finished, in the sweep's order.
    best: by the yardstick of all tables (see records.ranking). ConfigError where there is none, or
    where losses cannot be compared, so that each has a best.
    """
    best = name == BEST or name.startswith(f"{BEST}:")
    if not best and name != "newest":
        return name
    tables = find_sweeps([name.partition(":")[2] or "newest" if best else LATEST], where)
    table = tables[0] if len(tables) == 1 else join(tables)
    rows = [row for row in table.rows(["status", *READ]) if row["status"] == "FINISHED"]
    ids = ranking(rows).best_runs if best else tuple(row["run_id"] for row in rows[-1:])
    if len(ids) == 1:
        return str(ids[0])
    what = f"{table.meta.get('name') or 'the newest sweep'}"
    if not ids:
        raise ConfigError(f"RUN is {shown(name)}, but no run of {what} has finished undiverged.")
    raise ConfigError(
        f"RUN is {shown(name)}, but the losses of {what} cannot be compared, and each has a best: "
        f"{', '.join(ids)}."
    )


def _of_config(path: Path) -> str:
    """The run_id that a saved config has, with the data and device it names, else those here."""
    import yaml

    from harness.data.dataset import source_checksum
    from harness.engine.device import device_of

    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"RUN is {shown(str(path))}, which cannot be read: {error}") from error
    config = read_config(plain or {}, str(path))
    return config.run_id(source_checksum(config.data), device_of(config))


def _from_mlflow(name: str, where: Places) -> RunRecord:
    reader, found = in_mlflow(name, where)
    run_id, home = found[0].data.tags["harness.run_id"], where.ledger
    # an MLflow run id of a run that stands in the ledger, with its curves
    record = home.read(run_id) if home is not None and home.has(run_id) else None
    if record is not None:
        return record
    return record_among(reader, found)


def in_mlflow(name: str, where: Places) -> tuple[MlflowReader, list[Any]]:
    """The store, and in it the finished entries of the one run that a name means, newest first.

    name: the start of a run_id, or an MLflow run id. ConfigError where no run answers to the name,
    several do, or none of its entries is finished.
    """
    from harness.tracking.addresses import redacted

    if not where.mlflow and where.ledger is not None:
        ids = where.ledger.run_ids()
        raise ConfigError(
            f"no run {where.words} is called {shown(name)}; a ledger that is named is the only "
            f"place looked in (see `harness list`).{nearest(name, ids)}"
        )
    try:
        reader = where.store()
    except ConfigError as missing:
        raise ConfigError(_unknown(name, where, f"and {missing}")) from None
    found = [one for one in reader.runs_named(name) if "harness.run_id" in one.data.tags]
    ids = sorted({one.data.tags["harness.run_id"] for one in found})
    if not ids:
        raise ConfigError(
            _unknown(name, where, f"nor does MLflow at {redacted(reader.uri)} know one.")
            + " RUN is a run id of one of these, or a saved config.yaml (see `harness list`)."
        )
    if len(ids) > 1:
        raise ConfigError(
            f"run {shown(name)} is not unique: {', '.join(ids[:5])}; give more digits."
        )
    whole = [one for one in found if "harness.verdict" in one.data.tags]
    if not whole:
        raise ConfigError(
            f"run {ids[0]} is {found[0].info.status} in MLflow: it has no final numbers; "
            "`harness sync`, or train it to its end."
        )
    return reader, whole


def _unknown(name: str, where: Places, rest: str) -> str:
    shape = "" if len(name) <= MLFLOW_DIGITS else " (ids have 16 or 32 digits)"
    return f"no run {where.words} is called {shown(name)}{shape}, {rest}"
