"""Points with labels -1 and +1: of a table of the user's, or of two round Gaussian blobs."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.components.sources import Points, Settings, SourceSpec, balanced_labels
from harness.errors import DataError, shown
from harness.numerics.randomness import stream

CENTRE = 1.0  # class means at y * (1, 1)
SD = 0.7  # Bayes error Phi(-sqrt(2) / 0.7) = 2.2 %, of the line x0 + x1 = 0


@functools.lru_cache(maxsize=2)
def blobs(seed: int, n: int) -> Points:
    """n points of two blobs, labels equally likely; the best classifier is linear."""
    rng = stream(seed, "points")
    y_N = balanced_labels(rng, n)
    x_NI = y_N[:, None] * CENTRE + rng.standard_normal((n, 2)) * SD
    return Points(x_NI=x_NI.astype(np.float32), y_N=y_N)


def load(settings: Settings) -> Points:
    """The table at data.path; without one, data.words points of data.source_seed."""
    from harness.components.textfiles import read_text

    if settings.path is None:
        return blobs(settings.source_seed, settings.words)
    return of_table(*read_text(settings.path, "a table of points, such as points.csv"))


@functools.lru_cache(maxsize=4)
def of_table(text: str, where: str, noted: tuple[str, ...] = ()) -> Points:
    """Points of a CSV: numbers, and in the last column -1 and +1 or two names; a header or none.

    Of two names the first in alphabetical order is -1. DataError with the line and the remedy.
    """
    from harness.components.wordlists import table_rows

    cells = [(i, [cell.strip() for cell in row]) for i, row in enumerate(table_rows(text), 1)]
    rows = [(i, row) for i, row in cells if any(row)]
    header = len(rows) > 0 and any(_number(cell) is None for cell in rows[0][1][:-1])
    named = []
    if header:
        named = [f"the first line is taken as names: {', '.join(map(shown, rows[0][1]))}"]
    rows = rows[header:]
    if len(rows) < 2:
        raise DataError(f"{where} has {len(rows)} points; allowed: 2 or more, one a line.")
    width = len(rows[0][1])
    if width < 2:
        raise DataError(
            f"{where}, line {rows[0][0]}: one column; allowed: one number or more, then the label "
            "(-1 or 1, or one of two names), separated by commas."
        )
    x_NI = np.empty((len(rows), width - 1), dtype=np.float32)
    for n, (line, row) in enumerate(rows):
        if len(row) != width:
            raise DataError(
                f"{where}, line {line}: {len(row)} columns, where line {rows[0][0]} has {width}; "
                "allowed: as many in every line."
            )
        for i, cell in enumerate(row[:-1]):
            value = _number(cell)
            if value is None:
                raise DataError(
                    f"{where}, line {line}: {shown(cell)} in column {i + 1}; allowed: a number "
                    "that float32 can hold."
                )
            x_NI[n, i] = value
    y_N, told = _signs([row[-1] for _, row in rows], where)
    return Points(x_NI=x_NI, y_N=y_N, notes=(*noted, *named, *told))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= float(np.finfo(np.float32).max) else None


def _signs(labels: list[str], where: str) -> tuple[NDArray[np.int64], list[str]]:
    """-1 or +1 for each label (N,), numbers by their value, and what is to be said of it."""
    numbers = [_number(label) for label in labels]
    numeric = None not in numbers
    values: list[Any] = list(numbers) if numeric else list(labels)
    kinds = sorted(set(values))
    if len(kinds) != 2 or (numeric and kinds not in ([-1, 1], [0, 1])):
        few = ", ".join(shown(str(kind)) for kind in kinds[:5]) + ", ..." * (len(kinds) > 5)
        raise DataError(
            f"{where}: the last column has {len(kinds)} labels ({few}); "
            "allowed: -1 and 1, 0 and 1, or two names."
        )
    low, high = kinds
    told = [f"the label {shown(str(low))} is taken as -1, {shown(str(high))} as +1"]
    y_N = np.array([-1 if value == low else 1 for value in values], dtype=np.int64)
    return y_N, [] if kinds == [-1, 1] else told


SPEC = SourceSpec(
    load=load,
    kind="binary",
    unit="nats/example",
    reads=("path", "words", "source_seed"),
    summary="two Gaussian blobs in the plane, or data.path=points.csv; labels -1 and +1",
)
