"""Which process writes a run in MLflow, so that runs of dead ones can be told and closed."""

from __future__ import annotations

import os
import socket

from harness import system
from harness.records.durable import alive

TAG = "harness.owner"


def owner() -> str:
    """Who writes a run, as its tag says: host:pid:start, the start telling equal pids apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{system.started(os.getpid())}"


def lives(tag: str) -> bool:
    """Whether the process behind an owner's tag, of this machine, still runs."""
    pid, _, start = tag.partition(":")[2].partition(":")
    if not pid.isdigit() or not alive(int(pid)):
        return not pid.isdigit()
    return not start or start == system.started(int(pid))
