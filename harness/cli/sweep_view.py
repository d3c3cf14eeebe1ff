"""`harness show SWEEP`: what a sweep is, how far it has come, and where its time went."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from harness.cli.launch import PHASES, WORK, total
from harness.errors import ConfigError, shown
from harness.tracking import own_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from harness.records.ledger import Ledger
    from harness.records.manifests import SweepManifest


def find_sweep(name: str, ledger: Ledger | None) -> SweepManifest | None:
    """The sweep that a name means ("newest" or first digits); None where it can only be a run.

    newest: the newest sweep, unless a run by itself is newer.

    ConfigError where both a sweep and a run begin so.
    """
    if ledger is None or not name:
        return None
    if name == "newest":
        sweeps, singles = ledger.sweeps()[:1], ledger.sweeps("single")[:1]
        newest = max([*singles, *sweeps], key=lambda one: one.created_ms, default=None)
        return newest if newest in sweeps else None
    found = [sweep.sweep_id for sweep in ledger.sweeps() if sweep.sweep_id.startswith(name)]
    if not found:
        return None
    runs = [run_id for run_id in ledger.run_ids() if run_id.startswith(name)]
    if runs:
        raise ConfigError(
            f"RUN is {shown(name)}, with which sweep {found[0]} and run {runs[0]} begin; give more "
            "digits."
        )
    return ledger.read_sweep(name)


def sweep_values(sweep: SweepManifest, ledger: Ledger) -> dict[str, Any]:
    """A sweep as JSON values; seconds: over all launches, of the command and of its workers."""
    return {
        "sweep_id": sweep.sweep_id,
        "created": sweep.created_ms / 1000,
        "runs": len(sweep.run_ids),
        "finished": len(ledger.finished(sweep.run_ids)),
        "failed": len(ledger.failures(sweep.run_ids)),
        "varying": list(sweep.varying),
        "overrides": list(sweep.overrides),
        "experiment": sweep.tracking.get("experiment"),
        **own_words.of_manifest(sweep),
        "seconds": {part: total(sweep.launches, part) for part in ("work", "phases")},
        "launches": [dict(launch) for launch in sweep.launches],
    }


def sweep_tables(values: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """(title, table) of a sweep: its head, then where the time went."""
    from rich.table import Table

    head = Table(box=None, pad_edge=False, show_header=False)
    head.add_row("sweep", values["sweep_id"])
    for key, word in (("named", "name"), ("note", "note")):
        if values[key]:
            head.add_row(word, values[key])
    for key, value in values["tags"].items():
        head.add_row(f"tag {key}", value)
    head.add_row("created", time.strftime("%Y-%m-%d %H:%M", time.localtime(values["created"])))
    told = f"{values['runs']}, of which {values['finished']} are finished"
    head.add_row("runs", told + (f" and {values['failed']} failed" if values["failed"] else ""))
    head.add_row("what varies", ", ".join(values["varying"]) or "-")
    head.add_row("overrides", " ".join(values["overrides"]) or "-")
    launches = values["launches"]
    if not launches:
        head.add_row("time", "not known: none of it was trained since times were first kept")
        return [("", head)]
    trained = sum(launch["runs"] for launch in launches)
    processes = {launch["processes"] for launch in launches}
    where = f"{processes.pop() or 'several'} processes" if len(processes) == 1 else "its processes"
    times = "once" if len(launches) == 1 else f"{len(launches)} times"
    return [
        ("", head),
        (
            f"Where the time of {where} went; launched {times}, {trained} runs to train",
            _shares(values["seconds"]["work"], WORK),
        ),
        ("The command meanwhile", _shares(values["seconds"]["phases"], PHASES)),
    ]


def _shares(seconds: Mapping[str, float], words: Mapping[str, str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for title in ("seconds", "share"):
        table.add_column(title, justify="right")
    whole = sum(seconds.values())
    for name, value in seconds.items():
        table.add_row(words[name], f"{value:.1f}", f"{value / whole:.0%}" if whole else "-")
    return table
