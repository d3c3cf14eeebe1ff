"""Curves of many runs, held compactly while a sweep goes on, and as one parquet file at its end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.records.record import table_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.records.record import Curve


class Curves:
    """Series by run: three arrays a run, some 20 bytes a point, whatever the number of series."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._runs: dict[str, tuple[Any, Any, Any]] = {}  # name's code, step, value of each point

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def add(self, run_id: str, series: Mapping[str, Curve]) -> None:
        """Hold one run's series, in place of what was held of it before."""
        if not series:
            self._runs[run_id] = (np.empty(0, np.int16), np.empty(0, np.int64), np.empty(0))
            return
        codes = [self._names.setdefault(name, len(self._names)) for name in series]
        lengths = [len(steps) for steps, _ in series.values()]
        self._runs[run_id] = (
            np.repeat(np.array(codes, np.int16), lengths),
            np.concatenate([steps for steps, _ in series.values()]).astype(np.int64),
            np.concatenate([values for _, values in series.values()]).astype(np.float64),
        )

    def parquet(self, order: Iterable[str]) -> bytes:
        """One table run_id, name, step, value of these runs, in their order, as a parquet file."""
        import pyarrow as pa

        ids = [run_id for run_id in order if run_id in self._runs]
        parts = [self._runs[run_id] for run_id in ids]
        empty = (np.empty(0, np.int16), np.empty(0, np.int64), np.empty(0))
        codes, steps, values = (np.concatenate(part) for part in zip(empty, *parts, strict=True))
        runs = np.repeat(np.arange(len(ids), dtype=np.int32), [len(part[0]) for part in parts])

        def words(code: Any, names: Iterable[str]) -> Any:
            texts = pa.array(list(names), pa.string())
            return pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), texts)

        table = {"run_id": words(runs, ids), "name": words(codes, self._names)}
        return table_parquet(pa.table(table | {"step": pa.array(steps), "value": pa.array(values)}))


def curves_of(content: bytes, run_id: str) -> dict[str, Curve]:
    """One run's series in the bytes of such a file; {} where it is not in it."""
    import pyarrow.parquet as pq

    mine = [("run_id", "=", run_id)]
    table = pq.read_table(io.BytesIO(content), filters=mine)
    names = np.array(table.column("name").to_pylist(), dtype=object)
    steps, values = table.column("step").to_numpy(), table.column("value").to_numpy()
    return {
        name: (steps[names == name], values[names == name])
        for name in dict.fromkeys(names.tolist())
    }
