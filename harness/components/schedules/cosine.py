"""Half a cosine from the full rate to 0 at the end (Loshchilov & Hutter 2017, arXiv:1608.03983)."""

import math

from harness.components.schedules import ScheduleSpec

SPEC = ScheduleSpec(
    factor=lambda step, steps: 0.5 * (1.0 + math.cos(math.pi * step / steps)),
    summary="half a cosine, to 0 at the end",
)
