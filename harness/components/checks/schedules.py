"""Whether a schedule gives a factor for every step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.components.schedules import ScheduleSpec

NEEDED = {"schedule_at": 0.5, "schedule_factor": 0.1, "warmup": 0, "momentum": 0.0}


def problems(spec: ScheduleSpec) -> Iterator[str]:
    """Every fault of one schedule, in words."""
    unknown = [name for name in spec.settings if name not in NEEDED]
    if unknown:
        yield f"settings names {', '.join(unknown)}, which is no setting of optim"
        return
    own = {name: NEEDED[name] for name in spec.settings}
    for steps in (1, 2, 7, 100):
        for step in range(steps):
            factor = spec.factor(step, steps, **own)
            if not (math.isfinite(factor) and factor >= 0):
                yield f"factor({step}, {steps}) is {factor!r}; it must be a number of 0 or more"
                return
