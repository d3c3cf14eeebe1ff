"""What another machine is told of a chunk, and whether it would train the same runs.

A run's id holds its data's checksum, the version of the numerics and the device. A machine that
comes to another id has other data, another harness or another plug-in, and trains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from harness import __version__
from harness.config.ids import NUMERICS
from harness.config.run import Known, RunConfig, run_config
from harness.data.dataset import load_data
from harness.engine.device import device_of
from harness.errors import HarnessError
from harness.execution.interface import Place, Task
from harness.system import same_bits


def order(task: Task, place: Place) -> dict[str, Any]:
    """A task as JSON values: its runs by id, and what must be alike there and here."""
    return {
        "runs": {run_id: run.nested() for run_id, run in task.runs.items()},
        "rung": task.rung and task.rung.plain(),
        "device": device_of(next(iter(task.runs.values()))),
        "ledger": str(place.ledger.root), "replace": place.replace, "weights": place.weights,
        "checkpoint_seconds": place.checkpoint_seconds, "live": list(place.live),
        "version": __version__, "numerics": NUMERICS,
    }  # fmt: skip


def runs_of(plain: Mapping[str, Any]) -> dict[str, RunConfig]:
    """The runs of an order, on the machine that is to train them.

    HarnessError where this machine has another harness, lacks the data or would train other runs.
    """
    if (plain["version"], plain["numerics"]) != (__version__, NUMERICS):
        raise _unlike(
            f"has harness {__version__} and the command was given to {plain['version']}: install "
            "the same version on every machine"
        )
    runs: dict[str, RunConfig] = {}
    known: Known = {}
    for run_id, values in plain["runs"].items():
        try:
            run = runs[run_id] = run_config(values, known)
            data = load_data(run.data)
        except HarnessError as error:
            raise _unlike(
                f"cannot train run {run_id}: {error} A data file must be where all machines see "
                "it, and a plug-in installed on each"
            ) from error
        here = run.run_id(data.sha256, device_of(run))
        if here != run_id:
            what = run.data.path or run.data.name
            raise _unlike(
                f"takes run {run_id} for another, {here}: its copy of {what}, its device "
                f"({device_of(run)}) or a plug-in differs"
            )
    return runs


def about(device: str) -> dict[str, Any]:
    """This machine, as the event that comes before all others of a task."""
    return {"kind": "node", "host": socket.gethostname(), "same_bits": same_bits(device)}


def _unlike(why: str) -> HarnessError:
    return HarnessError(f"node {socket.gethostname()} {why}.")


class Nodes:
    """The machines heard of so far, each kind of them remarked on once."""

    def __init__(self, device: str = "cpu") -> None:
        self.kinds = [same_bits(device)]
        self.hosts: set[tuple[str, bool]] = set()

    def remarks(self, said: Mapping[str, Any]) -> list[str]:
        """What must be said of a machine: another kind than those before, or without the ledger."""
        out, bits = [], said["same_bits"]
        if bits not in self.kinds:
            apart = {k: v for k, v in bits.items() if self.kinds[0].get(k) != v}
            self.kinds.append(bits)
            out.append(
                f"node {said['host']} is another kind of machine "
                f"({', '.join(f'{key} {value}' for key, value in apart.items())}): its runs agree "
                "with those of others to rounding, not to the last bit."
            )
        seen = said["host"], bool(said.get("shared", True))
        if seen not in self.hosts and not seen[1]:
            out.append(
                f"node {said['host']} does not see this ledger's folder: finished records travel "
                "to it, and a chunk that is lost there begins anew."
            )
        self.hosts.add(seen)
        return out
