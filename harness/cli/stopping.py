"""SIGINT and SIGTERM as a request to stop: finish cleanly, and say so in the exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from harness.errors import HarnessError


class Terminated(BaseException):
    """SIGTERM outside of training."""


class StoppedError(HarnessError):
    """The user (130) or the system (143) asked to stop; what was finished is kept."""

    def __init__(self, signum: int) -> None:
        super().__init__("stopped; finished runs are kept, and the same command goes on from here.")
        self.exit_code = 128 + signum


@dataclass
class Stop:
    """Set once a signal has asked to stop."""

    event: threading.Event
    signum: int = 0
    since: float = 0.0  # time.monotonic() of the signal


# the first signal of this command: libraries swallow exceptions here and there (an import, a
# finaliser), so that what was raised may never arrive
_asked = Stop(threading.Event())


def asked() -> int:
    """The signal that asked this command to stop; 0 while none has."""
    return _asked.signum


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request; a second one acts as it does outside of this."""
    stop = Stop(threading.Event(), asked())
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.signum, stop.since = signum, time.monotonic()
        stop.event.set()
        restore()

    if stop.signum:
        stop.since = time.monotonic()
        stop.event.set()
    elif threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM end this process through every `finally`, and note which it was.

    In the midst of an import it ends at once: an exception raised there may go through C++ code,
    which aborts, and what is on disk is whole at any instant.
    """

    def leave(signum: int, frame: FrameType | None) -> None:
        if _importing(frame):
            os._exit(128 + signum)
        _asked.signum = _asked.signum or signum
        raise KeyboardInterrupt if signum == signal.SIGINT else Terminated

    _asked.signum = 0
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, leave) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
