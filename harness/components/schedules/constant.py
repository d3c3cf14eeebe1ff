"""The same learning rate throughout."""

from harness.components.schedules import ScheduleSpec

SPEC = ScheduleSpec(factor=lambda _step, _steps: 1.0, summary="the same rate throughout")
