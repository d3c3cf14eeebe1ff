"""Small tables as HTML, for notebooks: what `_repr_html_` of the public objects gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from harness.config.labels import text
from harness.numerics.digits import number


def html_table(title: str, rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> str:
    """A table with its title as HTML; every cell is escaped, floats are shortened.

    The first column names the row. rows and heads: as many cells each.
    """
    left = "text-align: left; white-space: nowrap"
    head = "".join(f'<th style="{left}">{escape(name)}</th>' for name in heads)
    lines = [f"<thead><tr>{head}</tr></thead>"] if heads else []
    for first, *rest in rows:
        cells = "".join(f'<td style="{left}">{escape(_cell(value))}</td>' for value in rest)
        lines.append(f'<tr><th style="{left}">{escape(_cell(first))}</th>{cells}</tr>')
    body = "\n".join(lines)
    return f'<table><caption style="{left}">{escape(title)}</caption>\n{body}\n</table>'


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else text(value)
