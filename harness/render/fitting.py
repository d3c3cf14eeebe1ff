"""Tables on narrow terminals: no word is broken, and what was asked for by name is never left out.

Rich narrows the widest columns first, down to a letter a line. Here a column is never narrower than
its longest word, as long as the longest words of all columns fit side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table

if TYPE_CHECKING:
    from rich.table import Column


def fit(table: Table, width: int) -> Table:
    """Give each column a width at which its words stay whole; the same table.

    Nothing is done where every column has all the room it wants, or the longest words have not.
    """
    natural = [
        max(map(cell_len, _parts(column, whole=True)), default=0) for column in table.columns
    ]
    least = least_widths(table)
    spare = width - sum(least) - _edges(table)
    if sum(natural) - sum(least) <= spare or spare < 0:
        return table
    wants = sorted(range(len(least)), key=lambda i: natural[i] - least[i])
    for done, i in enumerate(wants):
        more = min(natural[i] - least[i], spare // (len(wants) - done))
        table.columns[i].width = least[i] + more
        spare -= more
    return table


def fits(table: Table, width: int) -> bool:
    """Whether the longest words of all columns fit side by side."""
    return sum(least_widths(table)) + _edges(table) <= width


def least_widths(table: Table) -> list[int]:
    """Per column its longest word, or its longest line where it may not wrap."""
    return [
        max(map(cell_len, _parts(column, whole=column.no_wrap)), default=0)
        for column in table.columns
    ]


def blocks(
    fixed: int, widths: Sequence[int], width: int, *, later: int | None = None
) -> list[list[int]]:
    """Places of columns, dealt to tables that each fit beside columns of `fixed` width.

    One column at least in each. later: the fixed width in all tables but the first.
    """
    out: list[list[int]] = []
    used = 0
    for place, need in enumerate(widths):
        if not out or used + need > width:
            used = fixed if not out or later is None else later
            out.append([])
        out[-1].append(place)
        used += need
    return out


def settings_words(settings: Mapping[str, str]) -> str:
    """Several settings in one cell that can wrap between them: "lr=0.1 loss=mse"."""
    return " ".join(f"{key}={value.replace(' ', '')}" for key, value in settings.items())


def _parts(column: Column, *, whole: bool) -> list[str]:
    """The lines of a column's heading and cells, or their words."""
    texts = [str(column.header), *map(str, column.cells)]
    return [part for text in texts for part in (text.split("\n") if whole else text.split())]


def _edges(table: Table) -> int:
    """Columns of the terminal that padding takes."""
    _, right, _, left = table.padding
    count = len(table.columns)
    between = right + left if not table.collapse_padding else max(right, left)
    borders = count + 1 if table.box is not None and table.show_edge else 0
    return between * count - (0 if table.pad_edge else right + left) + borders
