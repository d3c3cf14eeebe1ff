"""How training went: the best evaluation, the gap, overfitting, the insides of the layers."""

from harness.components.metrics import NATS, OWN, MetricSpec

VIEWS = ("compare", "report", "run")
SPECS = {
    "best/nll_val": MetricSpec(
        unit=NATS, better="lower", when="best", agrees=True, label="best nll",
        shown=("compare", "run"), summary="lowest nll/val of all evaluations",
    ),
    "best/nll_calibrated_val": MetricSpec(
        unit=NATS, better="lower", when="best", agrees=True, label="best calibrated",
        summary="lowest nll_calibrated/val of all evaluations",
    ),
    "best/step": MetricSpec(
        unit="steps", when="best", label="best step", shown=VIEWS,
        summary="step of the lowest nll/val, the first of equal ones",
    ),
    "gap/nll": MetricSpec(
        unit=NATS, better="lower", label="gap", shown=(*VIEWS, "leaderboard", "narrow"),
        summary="nll/val - nll/train at the end",
    ),
    "gap/loss": MetricSpec(
        unit=OWN, better="lower", summary="loss/val - loss/train at the end",
    ),
    "overfit/excess": MetricSpec(
        unit=NATS, better="lower", summary="final minus lowest nll/val",
    ),
    "overfit/onset_step": MetricSpec(
        unit="steps", better="higher", summary="where validation began to rise for good",
    ),
    "memorised/evidence": MetricSpec(
        unit="nats", summary="what the training split costs less than under its known source",
    ),
    "penalty": MetricSpec(
        unit=OWN, series=True, kept=True, shown=("curves",),
        summary="the regularizer's part of the objective",
    ),
    "weights/norm": MetricSpec(
        label="weight norm", summary="Euclidean norm of all weight matrices, embedding aside",
    ),
    "act/std": MetricSpec(
        series=True, kept=True, summary="spread of a layer's activations on a batch",
    ),
    "act/saturated": MetricSpec(
        unit="share", series=True, kept=True, summary="saturated units of a layer on a batch",
    ),
    "grad/std": MetricSpec(
        series=True, kept=True, summary="spread of a weight matrix's gradient",
    ),
    "grad/update_ratio": MetricSpec(
        unit="log10", series=True, kept=True,
        summary="log10 of the spread of a step over that of the weights; about -3 is healthy",
    ),
}  # fmt: skip
