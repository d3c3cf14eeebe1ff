"""A straight line from the full rate to a part of it, as in micrograd's demo (to a tenth)."""

from harness.components.schedules import ScheduleSpec

SPEC = ScheduleSpec(
    factor=lambda step, steps, *, schedule_factor: 1.0 - (1.0 - schedule_factor) * step / steps,
    settings=("schedule_factor",),
    summary="a straight line to schedule_factor at the end",
)
