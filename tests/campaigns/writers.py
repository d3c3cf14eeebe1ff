"""Eight processes, each writing a sweep of 100 runs to one fresh ledger and one fresh MLflow store.

    python -m tests.campaigns.writers [--writers 8] [--runs 100] [--folder DIR]

Afterwards every run must stand once in the ledger, intact, and once under its sweep in MLflow, with
every point once. Exit code 1 where one does not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from pathlib import Path

from harness.config.settings import Tracking
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from harness.tracking.tracker import open_tracking
from tests.support.driven import in_mlflow
from tests.support.made import made_record

TOGETHER = 10  # runs that end together


def writer(folder: str, number: int, runs: int, start: object) -> None:
    """One sweep of made records, told as training tells it."""
    ledger = Ledger(Path(folder) / "runs")
    records = [made_record(number * runs + i) for i in range(runs)]
    start.wait()  # type: ignore[attr-defined]
    ledger.prepare()
    sweep = ledger.write_sweep(new_sweep({r.run_id: r.config for r in records}))
    with ledger.lock_sweep(sweep.sweep_id):
        tracker = open_tracking(Tracking(uri=f"sqlite:///{folder}/mlflow.db"), ledger)
        tracker.open_sweep(sweep)
        for first in range(0, runs, TOGETHER):
            part = records[first : first + TOGETHER]
            ledger.write_many(part)
            for record in part:
                tracker.finished(record.run_id)
        report = tracker.close()
    sys.exit(0 if report.behind == 0 else 3)


def campaign(writers: int, runs: int, folder: Path) -> list[str]:
    """What went wrong, in words; empty where all counts are exact."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(writers)
    crowd = [
        context.Process(target=writer, args=(str(folder), n, runs, start)) for n in range(writers)
    ]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    wrong = [f"writer {n}: exit {p.exitcode}" for n, p in enumerate(crowd) if p.exitcode]
    ledger = Ledger(folder / "runs")
    whole = ledger.finished(ledger.run_ids(), verify=True)
    if len(whole) != writers * runs or (ledger.root / "corrupt").exists():
        wrong.append(f"{len(whole)} intact records of {writers * runs}")
    parents, children, points = in_mlflow(folder / "mlflow.db")
    if parents != ["FINISHED"] * writers:
        wrong.append(f"parents: {parents}")
    if len(children) != writers * runs or any(c != ["FINISHED"] for c in children.values()):
        wrong.append(f"{len(children)} children")
    if any(set(found.values()) != {1} for found in points.values()):
        wrong.append("points stand more than once")
    if len({len(found) for found in points.values()}) != 1:
        wrong.append("runs have unequal numbers of points")
    return wrong


def main() -> int:
    """The campaign by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="harness-writers-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    wrong = campaign(args.writers, args.runs, folder)
    print(f"{args.writers} x {args.runs} runs in {time.monotonic() - began:.0f} s")
    print("\n".join(wrong) or "clean: every run once in ledger and MLflow")
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
