"""The start: what the first loss is, what it should have been, and the layers at step 0."""

from harness.components.metrics import OWN, MetricSpec


def _start(summary: str, *shown: str, unit: str = OWN, label: str = "") -> MetricSpec:
    return MetricSpec(unit=unit, when="start", label=label, shown=shown, summary=summary)


SPECS = {
    "init/loss_uniform": _start("this loss with all logits equal", "run"),
    "init/loss_measured": MetricSpec(
        unit=OWN, when="start", agrees=True, label="first loss",
        shown=("report", "run", "leaderboard", "narrow"),
        summary="loss/train before the first step",
    ),
    "init/loss_expected": _start(
        "what the settings promise", "run", "leaderboard", label="expected"
    ),
    "init/loss_z": _start(
        "standard deviations from the promise", "run", unit="", label="z"
    ),
    "init/loss_shuffled": _start("the same with targets shuffled, exactly"),
    "init/logit_std": _start("spread of the logits", unit=""),
    "init/logit_std_expected": _start("the spread that the settings promise", unit=""),
    "init/act_std": _start("spread of a layer's activations at step 0", unit=""),
    "init/saturated": _start("saturated units of a layer at step 0", unit="share"),
    "init/dead": _start("units of a layer saturated on every training context", unit="share"),
}  # fmt: skip
