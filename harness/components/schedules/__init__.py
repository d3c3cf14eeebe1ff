"""How the learning rate changes over a run: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleSpec(Spec):
    """One schedule. factor: (step, steps) -> multiple of the learning rate; step counts from 0."""

    factor: Callable[..., float]


SCHEDULES: Registry[ScheduleSpec] = Registry("schedule", ScheduleSpec, __name__)
