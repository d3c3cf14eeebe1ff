"""What a person sees on stdout when runs are done: tables, verdicts, where to look next."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from harness.components.metrics import heading, shown_in
from harness.config.labels import nll_unit, short_name, text, unit_of
from harness.numerics.digits import fixed
from harness.numerics.folding import PLUS_MINUS, estimate
from harness.records import verdicts
from harness.records.confirmation import TEST, Confirmed
from harness.records.ranking import Ranking, fingerprint, measured, ranking
from harness.render.equal import EQUAL, equal_rows, joined
from harness.render.fitting import fit, fits, settings_words
from harness.render.screen import screen
from harness.theory.advice import BAD

Row = Mapping[str, Any]  # one run: "run_id", "config_id", "verdict", settings and metrics by name
ROOMY = 110  # columns from which a leaderboard shows all it has
NEAR = 1000  # configurations looked at for equal ones


def say(words: str) -> None:
    """One line on stderr."""
    print(f"harness: {words}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def leaderboard(rows: Sequence[Row], varying: Sequence[str], limit: int = 10) -> None:
    """The best configurations, best first, replicates folded; on stdout.

    rows: one per finished run; `varying`: keys that differ between them. Equal ones share a line.
    """
    found = ranking(rows)
    near = found.standings[:NEAR]  # equal ones are neighbours
    groups = equal_rows([fingerprint([rows[i] for i in one.places]) for one in near])
    out = screen()
    narrow = out.width < ROOMY
    keys = [key for key in varying if not key.endswith("seed")]
    metric = found.yardstick.metric
    known = dict.fromkeys(name for row in rows for name in row)
    columns = {metric: metric}
    for name in shown_in("narrow" if narrow else "leaderboard", known):
        columns.setdefault(name, heading(name).replace(" ", "\n") if narrow else heading(name))
    lines = []
    for place, group in enumerate(groups[:limit], 1):
        several = [[rows[i] for i in found.standings[one].places] for one in group]
        shown = {key: joined(text(part[0].get(key)) for part in several) for key in keys}
        numbers = [_number(several[0], name, spread=name == metric) for name in columns]
        lines.append((place, shown or {"run": several[0][0]["run_id"]}, numbers, several[0]))
    table = _lines(lines, [*columns.values()], narrow=narrow, apart=True)
    if not fits(table, out.width):
        table = _lines(lines, [*columns.values()], narrow=narrow, apart=False)
    table = fit(table, out.width)
    out.print()
    out.print(table)
    beyond = len(found.standings) - sum(map(len, groups[:limit]))
    notes = [f"And {beyond:,} more configurations."] if beyond else []
    notes.append(_caption(found, rows))
    notes += [EQUAL] * any(len(group) > 1 for group in groups[:limit])
    out.print(" ".join(notes), style="dim")


def _lines(
    lines: Sequence[tuple[int, Mapping[str, str], Sequence[str], Sequence[Row]]],
    titles: Sequence[str], *, narrow: bool, apart: bool,
) -> Table:  # fmt: skip
    """The leaderboard; a column a setting, or (not apart) one for all, which can wrap."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    keys = list(lines[0][1]) if lines else ["run"]
    short = {key: short_name(key) for key in keys}
    for title in short.values() if apart else ["settings"]:
        table.add_column(title.replace("_", "\n") if narrow else title, overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for place, own, numbers, runs in lines:
        shown = list(own.values())
        if not apart:
            shown = [settings_words({short[key]: value for key, value in own.items()})]
        table.add_row(str(place), *shown, *numbers, _verdicts(runs))
    return table


def _caption(found: Ranking, rows: Sequence[Row]) -> str:
    """By what the configurations are in this order, and what the numbers are."""
    parts = [f"Best first, of {len(found.standings):,}, by {found.yardstick}"]
    if any(standing.value.n > 1 for standing in found.standings):
        parts.append(f"mean over seeds {PLUS_MINUS}")
    unit = nll_unit(row.get("data.name") for row in rows)
    return "; ".join([*parts, f"{unit}, the first loss in its loss's own units."])


def confirmation(
    results: Sequence[Confirmed], settings: Mapping[str, Mapping[str, Any]],
    varying: Sequence[str], chosen: Mapping[str, Any], out: Console | None = None,
) -> None:  # fmt: skip
    """What fresh seeds say of configurations that a sweep chose, on stdout.

    settings: run id -> its flat settings. varying: keys that differ between the runs.
    """
    out = out or screen()
    narrow = out.width < ROOMY
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    keys = [key for key in varying if not key.endswith("seed")]
    for title in ["settings"] if narrow and keys else [short_name(key) for key in keys] or ["run"]:
        table.add_column(title, overflow="fold")
    for title in ("chosen by", "fresh", "optimism", TEST):
        table.add_column(title, justify="right", no_wrap=True)
    for one in results:
        own = {short_name(key): text(settings[one.run_id].get(key)) for key in keys}
        shown = list(own.values()) or [one.run_id]
        if narrow and own:
            shown = [settings_words(own)]
        optimism = "-" if one.optimism is None else f"{one.optimism:+.4f}"
        numbers = fixed(one.chosen), one.fresh.words(), optimism, one.test.words()
        table.add_row(str(one.rank), *shown, *numbers)
    out.print()
    out.print(fit(table, out.width))
    out.print(
        f"Chosen by {chosen['metric']} as the best of {chosen['configurations']:,} configurations "
        f"of sweep {chosen['sweep_id'][:8]}; fresh: the same on seeds which that sweep did not "
        f"use, {PLUS_MINUS}. Optimism above 0: the choice flattered it. {TEST} chose nothing.",
        style="dim",
    )


def failures(failed: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Which runs failed, and why, on stderr."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("failed run", "settings", "reason"):
        table.add_column(title, overflow="fold")
    for run_id, message in failed.items():
        table.add_row(run_id, names.get(run_id, ""), message.strip().splitlines()[-1])
    err = screen(stderr=True)
    err.print(fit(table, err.width))


def one_run(row: Row, remarks: Sequence[str] = ()) -> None:
    """One run's final numbers with their units and what was remarked of it, on stdout."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("run", row["run_id"])
    table.add_row("verdict", verdicts.words(row))
    for name in shown_in("run", row):
        unit = unit_of(name, loss=row.get("loss.name"), source=row.get("data.name"))
        table.add_row(name, f"{row[name]:.6g} {unit}".rstrip())
    out = screen()
    out.print(table)
    for remark in remarks:
        out.print(Padding(f"- {remark}", (0, 0)), width=min(out.width, 80))


def starts(kinds: Sequence[str | None]) -> None:
    """How many runs began badly, by kind, on stdout; nothing where none did."""
    counts = Counter(kinds)
    for kind in BAD:
        if counts[kind]:
            screen().print(
                f"{counts[kind]} of {len(kinds)} runs began {kind!r}; `harness show RUN` says what "
                "to change",
                style="yellow",
            )


def _number(group: Sequence[Row], name: str, *, spread: bool) -> str:
    """Mean over seeds, of those runs whose value may be compared."""
    found = estimate([v for row in group if (v := measured(row, name)) is not None])
    if found.mean is None:
        return "-"
    return found.words() if spread else f"{found.mean:.4f}"


def _verdicts(group: Sequence[Row]) -> str:
    counted = Counter(row["verdict"] for row in group)
    if len(counted) == 1:
        return str(next(iter(counted)))
    return ", ".join(f"{n} {verdict}" for verdict, n in counted.most_common())


def paragraphs(told: Sequence[str]) -> None:
    """Sentences on stdout, each on a line of its own."""
    out = screen()
    for words in told:
        out.print(words, markup=False)


def where_next(ahead: Sequence[tuple[str, str]], title: str) -> None:
    """Commands that lead on, each with what it shows, on stdout."""
    out = screen()
    out.print()
    if title:
        out.print(title, style="bold")
    width = max(len(command) for command, _ in ahead)
    apart = any(4 + width + len(meaning) > out.width for _, meaning in ahead)
    for command, meaning in ahead:  # a command stays on one line, to be copied
        line = f"  {command}\n      {meaning}" if apart else f"  {command:<{width}}  {meaning}"
        out.print(line, soft_wrap=True, markup=False)
