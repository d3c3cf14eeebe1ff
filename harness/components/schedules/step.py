"""One drop: the full rate at first, a tenth of it from half way, as in the makemore lecture."""

from harness.components.schedules import ScheduleSpec

SPEC = ScheduleSpec(
    factor=lambda step, steps: 1.0 if 2 * step < steps else 0.1,
    summary="a tenth from half way",
)
