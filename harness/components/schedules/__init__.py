"""How the learning rate changes over a run: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ScheduleSpec(Spec):
    """One schedule of the learning rate.

    factor(step, steps, **settings) -> multiple of `optim.lr` that step `step`, from 0, of `steps`
    uses. settings: names of the `optim.*` settings it reads, which come as keyword arguments.
    """

    factor: Callable[..., float]
    settings: tuple[str, ...] = ()


SCHEDULES: Registry[ScheduleSpec] = Registry("schedule", ScheduleSpec, __name__)
