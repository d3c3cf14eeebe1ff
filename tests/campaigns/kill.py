"""SIGKILL at random instants, to the command or to one of its workers, over and over.

    python -m tests.campaigns.kill --kills 200 [--runs 64] [--seed 0] [--folder DIR]

Each sweep is launched again after every kill until it comes through. Then nothing finished may be
lost, nothing may stand twice (in the ledger or in MLflow), and every number must be, bit for bit,
that of a sweep which nobody disturbed. Exit code 1 where one of these fails.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.records.ledger import Ledger
from tests.support.driven import TINY, harness, in_mlflow, kill_group, numbers, start, workers_of


@dataclass
class Tally:
    """What a campaign came to; all from `lost` on must be 0."""

    kills: int = 0
    of_workers: int = 0
    of_nodes: int = 0
    of_drivers: int = 0
    sweeps: int = 0
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    missing: int = 0
    different: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.doubled or self.missing or self.different or self.failed)


def words(runs: int) -> list[str]:
    """The sweep: several shapes of chunk, one of them with optimizer state."""
    seeds = runs // 8
    return [
        "sweep", *TINY, "train.steps=400", "loss=cross_entropy,hinge", "optim=sgd,adam",
        "optim.lr=0.01", "init.weight_scale=0.5,1", f"seed=range(0,{seeds})", "engine.chunk=8",
        "ledger.checkpoint_seconds=0.2", "--quiet",
    ]  # fmt: skip


def campaign(kills: int, folder: Path, *, runs: int = 64, seed: int = 0, say=print) -> Tally:
    """Kill `kills` times, sweep after sweep; the last sweep is led to its end."""
    rng, tally, command = random.Random(seed), Tally(), words(runs)
    calm = folder / "calm"
    calm.mkdir(parents=True)
    began = time.monotonic()
    code, _, err = harness(*command, cwd=calm, timeout=600)
    length = time.monotonic() - began
    assert code == 0, err
    want, (_, _, points) = numbers(calm / "runs"), in_mlflow(calm / "mlflow.db")
    assert len(want) == runs
    while tally.kills < kills:
        home = folder / f"sweep{tally.sweeps}"
        length = min(length, disturbed(command, home, kills, length, rng, tally))
        judge(home, want, points, tally)
        say(f"{tally.kills}/{kills} kills: {tally}", flush=True)
        if not tally.clean:
            break
        shutil.rmtree(home)
    return tally


def disturbed(
    command: list[str], home: Path, kills: int, length: float, rng: random.Random, tally: Tally
) -> float:
    """One sweep, killed at random instants until it comes through between two kills.

    Returns how long an undisturbed launch takes, as far as is known now.
    """
    safe: set[str] = set()
    tries = 0
    while True:
        began = time.monotonic()
        process = start(*command, cwd=home)
        tries += 1
        # any instant from its first import on; after some tries it is left more and more time
        until = time.monotonic() + rng.uniform(0.1, 0.8) * length * max(1.0, tries / 6)
        quiet = tally.kills >= kills
        while process.poll() is None and (quiet or time.monotonic() < until):
            time.sleep(0.01)
        if process.poll() is not None:
            if process.returncode == 0:
                return time.monotonic() - began if tries == 1 else length
            tally.failed.append(f"{home.name}: exit {process.returncode}")
            if len(tally.failed) > 5:
                return length
            continue
        pids = workers_of(process)
        tally.kills += 1
        if pids and rng.random() < 0.4:
            tally.of_workers += 1
            os.kill(rng.choice(pids), signal.SIGKILL)
            until = time.monotonic() + rng.uniform(0, length)
            while process.poll() is None and (tally.kills >= kills or time.monotonic() < until):
                time.sleep(0.01)
            if process.poll() is not None:
                continue
            tally.kills += 1
        if rng.random() < 0.5:
            kill_group(process)
        else:  # its workers outlive it for a moment
            process.kill()
            process.wait()
        there = Ledger(home / "runs")
        now = there.finished(there.run_ids(), verify=True)
        tally.lost += len(safe - now)
        safe |= now


def judge(home: Path, want: dict[str, str], points: dict[str, object], tally: Tally) -> None:
    """Compare what stands in ledger and MLflow with the undisturbed sweep."""
    got = numbers(home / "runs")
    parents, children, shown = in_mlflow(home / "mlflow.db")
    tally.sweeps += 1
    tally.runs += len(got)
    tally.missing += len(set(want) - set(got)) + len(want) - len(children)
    tally.different += sum(got[run] != want[run] for run in got)
    tally.different += sum(shown.get(run) != points[run] for run in want)
    tally.doubled += len(parents) - 1 + sum(len(found) - 1 for found in children.values())
    tally.missing += sum(found != ["FINISHED"] for found in children.values())
    corrupt = home / "runs" / "corrupt"
    tally.lost += len(list(corrupt.iterdir())) if corrupt.is_dir() else 0


def main() -> int:
    """The campaign by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=64, help="a sweep; a multiple of 8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="harness-kill-"))
    tally = campaign(args.kills, folder, runs=args.runs, seed=args.seed)
    if tally.clean:
        shutil.rmtree(folder)
    else:
        print(f"see {folder}")
    print(f"{tally}\n{'clean' if tally.clean else 'NOT clean'}")
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
