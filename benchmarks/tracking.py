"""What a run costs MLflow: its own client beside one transaction a batch.

    python -m benchmarks.tracking [RUNS] [ADDRESS]

Runs of 134 points, 45 params and 13 tags, as a 2,000-step run of the lecture leaves them, written
to a fresh SQLite store (or to ADDRESS: postgresql://..., http://...), in milliseconds of wall time
and of this process's CPU a run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from harness.tracking import tables
from harness.tracking.addresses import store_address
from harness.tracking.entries import Entry
from harness.tracking.opening import open_store
from harness.tracking.store import Store
from harness.tracking.writer import BATCH

START = 1_700_000_000_000


def made_entry(number: int, files: bool) -> Entry:
    """One finished run: 4 curves of 26 points and 30 final values."""
    points = [
        (f"{name}/{split}", 3.0 - step / 5000 + number / 1e6, START + step, step)
        for name in ("loss", "nll") for split in ("train", "val") for step in range(0, 2600, 100)
    ]  # fmt: skip
    points += [(f"final/{i}", i + number / 1e6, START, 0) for i in range(30)]
    own = {"mlflow.parentRunId": "0" * 32, "harness.run_id": f"{number:016x}"}
    tags = {f"harness.tag{i}": f"value {i} of {number}" for i in range(10)}
    return Entry(
        name=f"run {number}", start_ms=START + number, own=own, tags=tags, points=points,
        params={f"group.key{i}": str(i) for i in range(45)}, status="FINISHED",
        end_ms=START + number + 1000,
        datasets=({"name": "census", "digest": "ab" * 16, "source": "{}", "profile": "{}"},),
        files={"config.yaml": b"seed: 0\n" * 60} if files else {},
    )  # fmt: skip


def cost(store: Store, runs: int, *, files: bool = False) -> tuple[float, float]:
    """(wall, CPU) milliseconds a run."""
    entries = [made_entry(number, files) for number in range(runs)]
    wall, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, runs, BATCH):
        for place in store.put([(None, entry) for entry in entries[begin : begin + BATCH]]):
            if isinstance(place, Exception):
                raise place
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return 1000 * spent[0] / runs, 1000 * spent[1] / runs


def main(runs: int = 200, address: str | None = None) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        ways = [("client", (), False), ("tables", tables.TESTED, False)]
        ways += [("tables, and a config.yaml each", tables.TESTED, True)]
        for place, (name, revisions, files) in enumerate(ways):
            tables.TESTED = revisions
            uri = address or f"sqlite:///{Path(folder) / f'{place}.db'}"
            store = open_store(store_address(uri), f"bench {place} {time.time_ns()}", None, "")
            cost(store, 5)  # connections, prepared statements
            wall, cpu = cost(store, runs, files=files)
            print(
                f"{type(store).__name__:11} {name:32} {wall:7.2f} ms wall {cpu:7.2f} ms CPU a run"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, *sys.argv[2:3])
