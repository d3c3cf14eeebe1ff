"""What the report tells under the pointer: of every mark its runs, their settings and the value.

It is data in the page, read by the one script of it (templates/report.js); without scripts the page
is whole all the same. Bounded, so that a page of ten thousand runs stays small.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.analysis.table import plain_rows
from harness.config.labels import short_names, text

if TYPE_CHECKING:
    from harness.analysis.effects import Swept
    from harness.render.figures.style import Panel

SCRIPT = (Path(__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
MOST_MARKS = 12_000  # of a page
MOST_ENTRIES = 3000  # runs or groups of runs that a page tells of
IDS = 12  # of one group that are named
KEYS = 12  # settings named of a run


def told(panels: Iterable[Panel], swept: Swept) -> Markup:
    """The marks of these panels as JSON that is safe inside a script element.

    {"runs": [[settings, number of runs, [ids]], ...], "words": [...], "panels": {name: {"what",
    "reach": [x, y], "at": [tenths of a point: x, y, ...], "of": [places in runs], "value": [...],
    "where": [places in words]}}}
    """
    keys = list(swept.table.varying)[:KEYS]
    names = short_names(keys)
    rows = {str(row["run_id"]): row for row in plain_rows(swept.runs, ["run_id", *keys])}
    entries: dict[tuple[str, ...], int] = {}
    words: dict[str, int] = {}
    out: dict[str, Any] = {}
    left = MOST_MARKS
    for panel in panels:
        at, of, value, where = [], [], [], []
        for mark in panel.marks[:left]:
            if mark.runs not in entries and len(entries) >= MOST_ENTRIES:
                continue
            of.append(entries.setdefault(mark.runs, len(entries)))
            at += [round(10 * mark.x), round(10 * mark.y)]
            value.append(mark.value)
            where.append(words.setdefault(mark.where, len(words)))
        left -= len(of)
        if of:
            reach = [round(one, 1) for one in panel.reach]
            out[panel.name] = {
                "what": panel.what, "reach": reach, "at": at, "of": of, "value": value,
                "where": where,
            }  # fmt: skip

    def entry(ids: tuple[str, ...]) -> list[Any]:
        known = [rows[one] for one in ids if one in rows]
        shared = {key: {text(row.get(key)) for row in known} for key in keys}
        settings = [f"{names[k]}={v.pop()}" for k, v in shared.items() if len(v) == 1]
        return [", ".join(settings), len(ids), list(ids[:IDS])]

    return _safe({"runs": [entry(ids) for ids in entries], "words": list(words), "panels": out})


def _safe(value: Any) -> Markup:
    """JSON in which no character can end the element that holds it, or begin another."""
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for one in "<>&":
        plain = plain.replace(one, f"\\u{ord(one):04x}")
    return Markup(plain)  # noqa: S704 - no character of HTML's is left in it


def policy() -> str:
    """The page's Content-Security-Policy: its own script by hash, and nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
