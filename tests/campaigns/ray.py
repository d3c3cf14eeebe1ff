"""A Ray cluster of three node processes, whose workers and nodes die while a sweep trains on it.

    python -m tests.campaigns.ray --rounds 20 [--runs 64] [--seed 0] [--folder DIR]

Each round is one sweep: at random instants a worker process and then a node (its raylet) get
SIGKILL; in every second round the command itself does too, and is given again. Then nothing may be
lost, nothing may stand twice (in the ledger or in MLflow), and every number must be, bit for bit,
that of a sweep on local worker processes. Exit code 1 where one of these fails.
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
from pathlib import Path

from harness.records.ledger import Ledger
from tests.campaigns.kill import Tally, judge, words
from tests.support.clusters import STORE, ray_cluster
from tests.support.driven import harness, in_mlflow, kill_group, numbers, start


def tasks_now() -> list[int]:
    """Process ids of the Ray workers of this machine that train a chunk."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::train_chunk"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class Round:
    """One sweep and what happens to it."""

    def __init__(self, cluster, command, home, rng, tally):
        self.cluster, self.rng, self.tally = cluster, rng, tally
        self.command, self.home = command, home
        self.process = start(*command, cwd=home)
        self.safe: set[str] = set()

    def look(self) -> None:
        """What had a record has one still."""
        ledger = Ledger(self.home / "runs")
        now = ledger.finished(ledger.run_ids(), verify=True)
        self.tally.lost += len(self.safe - now)
        self.safe |= now

    def wait(self, seconds: float) -> bool:
        """Whether the sweep still runs after so long."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        return self.process.poll() is None

    def begun(self) -> bool:
        """Wait until some chunk trains."""
        while self.process.poll() is None and not tasks_now():
            time.sleep(0.02)
        return self.process.poll() is None

    def kill_worker(self) -> None:
        """One process that trains."""
        pids = tasks_now()
        if pids:
            self.tally.kills += 1
            self.tally.of_workers += 1
            os.kill(self.rng.choice(pids), signal.SIGKILL)

    def kill_node(self) -> None:
        """One raylet, with all its workers; another node comes in its place."""
        node = self.rng.choice(self.cluster.nodes)
        self.tally.kills += 1
        self.tally.of_nodes += 1
        self.cluster.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)
        self.cluster.nodes.append(self.cluster.add_node(num_cpus=1, wait=False, **STORE))

    def kill_driver(self) -> None:
        """The command; the same one again."""
        self.tally.kills += 1
        self.tally.of_drivers += 1
        kill_group(self.process)
        self.process = start(*self.command, cwd=self.home)


def campaign(rounds: int, folder: Path, *, runs: int = 64, seed: int = 0, say=print) -> Tally:
    """So many sweeps, each disturbed."""
    rng, tally = random.Random(seed), Tally()
    calm = folder / "calm"
    calm.mkdir(parents=True)
    code, _, err = harness(*words(runs), cwd=calm, timeout=600)
    assert code == 0, err
    want, (_, _, points) = numbers(calm / "runs"), in_mlflow(calm / "mlflow.db")
    with ray_cluster(nodes=3, cores=1) as cluster:
        command = [*words(runs), "engine.executor=ray", f"engine.ray.address={cluster.address}"]
        length = 20.0
        for number in range(rounds):
            home = folder / f"sweep{number}"
            one = Round(cluster, command, home, rng, tally)
            began = time.monotonic()
            acts = [one.kill_worker, one.kill_node]
            if number % 2:
                acts.insert(rng.randrange(3), one.kill_driver)
            for act in acts:
                if one.begun() and one.wait(rng.uniform(0.0, 0.4) * length):
                    one.look()
                    act()
                    one.look()
            if one.process.wait(600) != 0:
                tally.failed.append(f"{home.name}: {(home / 'err').read_text()[-600:]}")
            one.look()
            length = min(length, time.monotonic() - began)
            judge(home, want, points, tally)
            say(f"{number + 1}/{rounds} sweeps: {tally}", flush=True)
            if not tally.clean:
                break
            shutil.rmtree(home)
    return tally


def main() -> int:
    """The campaign by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=64, help="a sweep; a multiple of 8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="harness-ray-"))
    tally = campaign(args.rounds, folder, runs=args.runs, seed=args.seed)
    if tally.clean:
        shutil.rmtree(folder)
    else:
        print(f"see {folder}")
    print(f"{tally}\n{'clean' if tally.clean else 'NOT clean'}")
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
