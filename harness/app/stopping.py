"""SIGINT and SIGTERM as a request to stop: finish cleanly, and say so in the exit code."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from harness.errors import HarnessError


class Terminated(BaseException):
    """SIGTERM outside of training; its argument is the exit code."""


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


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request; a second one acts as it always does."""
    stop = Stop(threading.Event())
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.signum = signum
        stop.event.set()
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


@contextlib.contextmanager
def end_on_terminate() -> Iterator[None]:
    """Let SIGTERM end this process like Ctrl-C does, through every `finally`, with status 143."""

    def leave(signum: int, frame: FrameType | None) -> None:
        del frame
        raise Terminated(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
