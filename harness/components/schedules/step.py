"""One drop: the full rate at first, then a part of it, as in the makemore lecture."""

from harness.components.schedules import ScheduleSpec


def factor(step: int, steps: int, *, schedule_at: float, schedule_factor: float) -> float:
    """1 until that share of the steps is done, then the factor."""
    done = round(schedule_at * steps, 6)  # .14 of 50 is 7 steps, in floating point a trace more
    return 1.0 if step < done else schedule_factor


SPEC = ScheduleSpec(
    factor=factor, settings=("schedule_at", "schedule_factor"),
    summary="a tenth from half way, or what schedule_at and schedule_factor say",
)  # fmt: skip
