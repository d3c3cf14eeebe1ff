"""The bodies of `harness compare`, `list`, `show` and `diff`; each returns its exit code."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import inspecting
from harness.errors import ConfigError, HarnessError
from harness.render.fitting import fit
from harness.render.screen import screen

if TYPE_CHECKING:
    from rich.table import Table

    from harness.analysis.places import Places
    from harness.records.record import RunRecord


def compare_verb(  # noqa: PLR0913  one argument an option
    sweeps: Sequence[str], by: Sequence[str], metrics: Sequence[str], where: Sequence[str],
    baseline: Sequence[str], sort: str, all_rates: bool, as_json: bool, as_csv: bool,
    ledger: str | None, uri: str | None,
) -> int:  # fmt: skip
    """See `harness compare --help`; remarks go to stderr where stdout is JSON or CSV."""
    from harness.analysis.choices import confirmations
    from harness.analysis.comparison import compare
    from harness.analysis.sources import read_sweep
    from harness.render.compare_table import show
    from harness.render.console import confirmation

    if as_json and as_csv:
        raise ConfigError("--json and --csv are both given; allowed: one of them.")
    keys = [key for given in by for key in given.split(",") if key]
    names = [name for given in metrics for name in given.split(",") if name]
    table = read_sweep(list(sweeps) or "newest", uri=uri, ledger=ledger)
    found = compare(
        table, by=keys, metrics=names, where=list(where), baseline=list(baseline), sort=sort,
        rates="all" if all_rates else "best",
    )  # fmt: skip
    if as_json or as_csv:
        sys.stdout.write(
            json_text(found.to_json()) if as_json else found.frame().to_csv(index=False)
        )
        for remark in found.remarks:
            print(f"harness: {remark}", file=sys.stderr)
        return 0
    out = screen()
    of = _sources(table.meta["sweeps"])
    taken = sum(row["n"] for row in found.rows)
    total = len(table.runs) + table.unfinished
    if not taken:
        raise HarnessError(
            f"none of the {total} runs{of} has finished; the command that began it goes on with it."
        )
    some = "" if taken == total else f"{taken} of "
    every = f"{some}{total} run{'' if total == 1 else 's'}{of}"
    out.print(every, style="bold", markup=False)
    out.print()
    show(found, out)
    if results := confirmations(table):
        settings = {row["run_id"]: row for row in table.rows()}
        chosen = table.meta["confirms"]
        confirmation(results, settings, table.varying_settings, chosen, out)
    return 0


def _sources(tables: Sequence[Mapping[str, Any]]) -> str:
    """The sweeps that were read, in words; nothing where runs were named one by one."""
    ids = [one["sweep_id"] for one in tables if one.get("kind") == "sweep" and "part_of" not in one]
    if len(ids) < len(tables):
        return ""
    return f" of sweep{'' if len(ids) == 1 else 's'} {', '.join(map(str, ids))}"


def list_verb(sweep: str | None, *, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """See `harness list --help`."""
    from harness.analysis.places import places
    from harness.analysis.sources import read_sweep

    if sweep is not None:
        runs = inspecting.runs_of(read_sweep(sweep, uri=uri, ledger=ledger))
        if as_json:
            sys.stdout.write(json_text(runs))
        else:
            _print([("", inspecting.runs_table(runs))])
        return 0
    found = inspecting.known_sweeps(places(ledger, uri), uri)
    if as_json:
        sys.stdout.write(json_text(found))
    else:
        _print([("", inspecting.sweeps_table(found))])
    return 0


def show_verb(  # noqa: PLR0913  one argument an option
    run: str, *, config: bool, as_json: bool, ledger: str | None, uri: str | None,
    plot: str | None = None, insides: bool = False,
) -> int:  # fmt: skip
    """See `harness show --help`."""
    from harness.analysis.places import places
    from harness.cli import sweep_view

    if insides and plot is None:
        raise ConfigError("--insides adds to a figure; name it with --plot FILE.")
    where = places(ledger, uri)
    home = where.ledger
    sweep = None if config else sweep_view.find_sweep(run, home)
    if sweep is not None and plot is not None:
        if run != "newest":
            raise ConfigError(
                f"--plot draws one run, and {run} is a sweep; allowed: a run's id, or "
                f"best:{sweep.sweep_id[:8]}. `harness report {run}` draws a sweep."
            )
        sweep = None
    if sweep is not None and home is not None:
        found = sweep_view.sweep_values(sweep, home)
        if as_json:
            sys.stdout.write(json_text(found))
        else:
            _print(sweep_view.sweep_tables(found))
        return 0
    record = inspecting.find_run(run, where)
    if plot is not None:
        _draw(record, where, plot, insides=insides)
    if config:
        from harness.records.saved import config_yaml

        sys.stdout.write(config_yaml(record.config, record.provenance))
    elif as_json:
        sys.stdout.write(json_text(inspecting.run_values(record)))
    else:
        _print(inspecting.run_tables(record))
    return 0


def _draw(record: RunRecord, where: Places, path: str, *, insides: bool) -> None:
    """A run's figure to a file; what could not be drawn is told on stderr."""
    from harness.analysis.stored_runs import stored_records
    from harness.render.console import say
    from harness.render.figures import run as figures
    from harness.render.figures.style import save

    home = where.ledger
    if home is None or not home.has(record.run_id):  # MLflow keeps curves apart
        record = stored_records(where.store(), [record.run_id]).get(record.run_id, record)
    pictures, notes = figures.run_pictures(record)
    if insides:
        more, missing = figures.inside_pictures(record)
        pictures, notes = [*pictures, *more], [*notes, *missing]
    for note in dict.fromkeys(notes):
        say(note)
    save(figures.drawn(pictures), Path(path))
    say(f"drawn to {path}")


def diff_verb(
    first: str, second: str, *, as_json: bool, ledger: str | None, uri: str | None
) -> int:
    """See `harness diff --help`."""
    from harness.analysis.places import places

    where = places(ledger, uri)
    pair = [inspecting.find_run(run, where) for run in (first, second)]
    found = inspecting.differences(*pair)
    if as_json:
        sys.stdout.write(json_text(found))
        return 0
    _print(inspecting.difference_tables(found))
    if found["same_curves"]:
        screen().print("All curves are the same to the last bit.")
    return 0


def json_text(value: Any) -> str:
    """One JSON value and a line's end; numbers that JSON cannot hold are null."""
    return json.dumps(_plain(value), allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _print(parts: Sequence[tuple[str, Table]]) -> None:
    out = screen()
    for title, table in parts:
        if title:
            out.print()
            out.print(title, style="bold", markup=False)
        if table.row_count:
            out.print(fit(table, out.width))
