"""Curves of one run as bytes: a line of JSON, then the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.records.record import Curve


def pack_curves(series: Mapping[str, Curve]) -> bytes:
    """A line of JSON, {"grids": [length, ...], "series": [[metric, grid], ...]}, then the numbers.

    A grid is a list of steps (int64), kept once for all metrics measured at them; the values
    (float64) follow the grids, metric by metric. Little-endian throughout.
    """
    grids: dict[bytes, int] = {}
    lengths: list[int] = []
    names: list[tuple[str, int]] = []
    values: list[bytes] = []
    for name, (steps_N, values_N) in series.items():
        steps = np.ascontiguousarray(steps_N, "<i8").tobytes()
        if steps not in grids:
            grids[steps] = len(grids)
            lengths.append(len(steps_N))
        names.append((name, grids[steps]))
        values.append(np.ascontiguousarray(values_N, "<f8").tobytes())
    head = json.dumps({"grids": lengths, "series": names}).encode()
    return b"".join([head, b"\n", *grids, *values])


def unpack_curves(content: bytes) -> dict[str, Curve]:
    """The series of `pack_curves`."""
    if not content:
        return {}
    head, _, numbers = content.partition(b"\n")
    plain = json.loads(head)
    at, grids = 0, []
    for length in plain["grids"]:
        grids.append(np.frombuffer(numbers, "<i8", length, at))
        at += 8 * length
    out: dict[str, Curve] = {}
    for name, grid in plain["series"]:
        length = len(grids[grid])
        out[name] = grids[grid].copy(), np.frombuffer(numbers, "<f8", length, at).copy()
        at += 8 * length
    return out
