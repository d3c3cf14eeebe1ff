"""Sweeps and runs found by name, in a ledger or in MLflow, as tables.

table = read_sweep()                                  # the newest sweep
table = read_sweep(["1f3a", "experiment-name"], uri="http://server:5000")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analysis.places import Folder, Places, places
from harness.analysis.stored import ledger_table, mlflow_table, single_table
from harness.analysis.table import SweepTable, join
from harness.errors import ConfigError, nearest, shown
from harness.tracking.addresses import redacted

if TYPE_CHECKING:
    from harness.records.ledger import Ledger
    from harness.tracking.reader import MlflowReader


LATEST = "newest:any"  # no user's word: the newest sweep or single run, whichever is newer


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A sweep, or (kind "single") a run trained by itself, of which `load` reads the table.

    ids: what it may be called by: its own id and, in a store, MLflow's. runs: ids of its runs, as
    far as they are known without reading more.
    """

    ids: tuple[str, ...]
    kind: str
    experiment: str | None
    load: Callable[[], SweepTable]
    runs: tuple[str, ...] = ()


def read_sweep(
    selector: str | Sequence[str] = "newest", *, uri: str | None = None,
    ledger: Folder | None = None,
) -> SweepTable:  # fmt: skip
    """One sweep, or several together, as a table; ConfigError where there is none such.

    selector: "newest", "all", the id or first digits of a sweep or of a run, the MLflow id of
    either, or the name of an experiment (all its sweeps and single runs); or several of these.
    ledger (an object or its folder) and uri (as tracking.uri) as in `places`: what is named is
    looked at and nothing else; by default ./runs, then MLflow.
    """
    wanted = [selector] if isinstance(selector, str) else list(selector)
    tables = find_sweeps(wanted or ["newest"], places(ledger, uri))
    return tables[0] if len(tables) == 1 else join(tables)


def find_sweeps(selectors: Sequence[str], where: Places) -> list[SweepTable]:
    """One table a sweep or run, in the order asked for; ConfigError for what is in no place."""
    own = ledger_entries(where.ledger) if where.ledger is not None else []
    store: MlflowReader | None = None
    stored: list[Entry] = []
    chosen: dict[str, Entry] = {}
    for selector in selectors:
        found = choose(selector, own) or _run_of(selector, own)
        if not found:
            if store is None:
                store = _store(where, selector, own)
                stored = store_entries(store)
            found = choose(selector, stored) or _stored_run(selector, store, stored)
        if not found:
            raise _unknown(selector, where, [*own, *stored])
        for entry in found:
            chosen.setdefault(entry.ids[0], entry)
    return [entry.load() for entry in chosen.values()]


def ledger_entries(ledger: Ledger) -> list[Entry]:
    """A ledger's sweeps and single runs, newest first."""
    found = sorted(
        ledger.sweeps() + ledger.sweeps("single"), key=lambda one: (-one.created_ms, one.sweep_id)
    )
    return [
        Entry(
            ids=(one.sweep_id,), kind=one.kind, experiment=one.tracking.get("experiment"),
            load=lambda one=one: ledger_table(ledger, one),  # type: ignore[misc]
            runs=tuple(one.run_ids),
        )
        for one in found
    ]  # fmt: skip


def store_entries(store: MlflowReader) -> list[Entry]:
    """A store's sweeps and single runs, newest first, each once."""
    out: dict[str, Entry] = {}
    tops = [*store.parents(), *store.singles()]
    for run in sorted(tops, key=lambda run: -run.info.start_time):
        tags, kind = run.data.tags, run.data.tags["harness.kind"]
        read = mlflow_table if kind == "sweep" else single_table
        own = tags["harness.sweep_id" if kind == "sweep" else "harness.run_id"]
        entry = Entry(
            ids=(own, run.info.run_id), kind=kind,
            experiment=store.experiments.get(run.info.experiment_id),
            load=lambda read=read, run=run: read(store, run),  # type: ignore[misc]
            runs=(own,) if kind == "single" else (),
        )  # fmt: skip
        out.setdefault(own, entry)
    return list(out.values())


def choose(selector: str, known: Sequence[Entry]) -> list[Entry]:
    """The entries that a selector names; ConfigError where an id's first digits name several.

    newest: the newest sweep or, where there is none, the newest single run. LATEST: the newer.
    """
    if selector == LATEST:
        return list(known[:1])
    if selector == "newest":
        return [*(one for one in known if one.kind == "sweep"), *known][:1]
    if selector == "all":
        return list(known)
    found = [one for one in known if selector and one.ids[0].startswith(selector)]
    exact = [one for one in known if selector in one.ids]
    if len(found) > 1 and not exact:
        names = ", ".join(one.ids[0] for one in found[:5])
        raise ConfigError(f"{shown(selector)} is not unique: {names}; give more digits.")
    return exact[:1] or found or [one for one in known if one.experiment == selector]


def part(table: SweepTable, run_id: str) -> SweepTable:
    """One run of a sweep, as a table of its own."""
    runs = table.runs[table.runs["run_id"] == run_id].reset_index(drop=True)
    meta = {**table.meta, "name": f"run {run_id[:8]}", "runs": 1, "part_of": table.meta["sweep_id"]}
    for of_all in ("search", "confirms", "unfinished"):
        meta.pop(of_all, None)
    meta["sweeps"] = [{k: v for k, v in meta.items() if k != "sweeps"}]

    def curves() -> Any:
        every = table.curves
        return every[every["run_id"] == run_id].reset_index(drop=True)

    return dataclasses.replace(table, runs=runs, meta=meta, load_curves=curves)


def _run_of(selector: str, known: Sequence[Entry]) -> list[Entry]:
    """The one run of a sweep whose id begins so."""
    homes = {
        run_id: one for one in reversed(known) for run_id in one.runs
        if selector and run_id.startswith(selector)
    }  # fmt: skip
    if len(homes) > 1 and selector not in homes:
        few = ", ".join(sorted(homes)[:5])
        raise ConfigError(f"run {shown(selector)} is not unique: {few}; give more digits.")
    if not homes:
        return []
    run_id = selector if selector in homes else next(iter(homes))
    home = homes[run_id]
    return [_one(home, run_id)]


def _one(home: Entry, run_id: str) -> Entry:
    return Entry(
        ids=(run_id,), kind="part", experiment=home.experiment, runs=(run_id,),
        load=lambda: part(home.load(), run_id),
    )  # fmt: skip


def _stored_run(selector: str, store: MlflowReader, known: Sequence[Entry]) -> list[Entry]:
    """The one run in MLflow, a child of some sweep, whose id or MLflow id begins so."""
    found = store.runs_named(selector) if selector else []
    homes = {
        run.data.tags["harness.run_id"]: run.data.tags.get("harness.sweep_id") for run in found
    }
    if len(homes) > 1:
        few = ", ".join(sorted(homes)[:5])
        raise ConfigError(f"run {shown(selector)} is not unique: {few}; give more digits.")
    return [_one(one, run_id) for run_id, sweep in homes.items() for one in known
            if one.ids[0] == sweep]  # fmt: skip


def _store(where: Places, selector: str, own: Sequence[Entry]) -> MlflowReader:
    try:
        return where.store()
    except ConfigError as error:
        if where.ledger is None:
            raise
        if own:
            raise _unknown(selector, where, own) from error
        raise ConfigError(
            f"there is no sweep and no run in {where.ledger.root}"
            + (f", and {error}" if where.mlflow else "; start one with `harness sweep`.")
        ) from error


def _unknown(selector: str, where: Places, known: Sequence[Entry]) -> ConfigError:
    if selector in ("newest", "all", LATEST):
        at = redacted(where.store().uri) if where.mlflow else where.words
        return ConfigError(f"there is no sweep at {at}; start one with `harness sweep`.")
    names = list(dict.fromkeys(one.ids[0] for one in known))
    names += list(dict.fromkeys(one.experiment for one in known if one.experiment))
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return ConfigError(
        f"there is no sweep {shown(selector)}; allowed: newest, all, the first digits of a sweep's "
        f"or run's id, or an experiment's name; known: {few or 'none'} (see `harness list`)."
        f"{nearest(selector, names)}"
    )
