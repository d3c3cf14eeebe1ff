"""How fast a run was trained."""

from harness.components.metrics import MetricSpec

SPECS = {
    "speed": MetricSpec(
        unit="1/s", better="higher", timing=True, summary="how fast a run was trained",
    ),
    "speed/run_steps_per_s": MetricSpec(
        unit="steps/s", better="higher", timing=True, label="steps/s", shown=("run",),
        summary="steps a second, this run's share of its stack's time",
    ),
}  # fmt: skip
