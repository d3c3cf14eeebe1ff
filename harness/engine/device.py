"""Where a run's arithmetic happens, and with how many threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from harness.config.run import ResolvedRun, RunConfig


def device_of(run: RunConfig) -> str:
    """Where this run's arithmetic happens: "cpu" or "cuda"."""
    if run.engine.device != "auto":
        return run.engine.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve(run: RunConfig) -> ResolvedRun:
    """The run as this machine would train it."""
    return run.resolved(device_of(run))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread: stacked runs scale by processes, and bits do not depend on threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)
