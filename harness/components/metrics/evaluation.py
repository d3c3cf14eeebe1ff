"""Whole-split numbers: losses, the common yardstick, and what else a split is measured by."""

from harness.components.metrics import NATS, OWN, MetricSpec

LOSS = MetricSpec(
    unit=OWN, better="lower", agrees=True, summary="the run's own data loss on a whole split"
)
NLL = MetricSpec(
    unit=NATS, better="lower", agrees=True, summary="cross-entropy of softmax(logits), whole split"
)


def _loss(label: str, *shown: str) -> MetricSpec:
    return MetricSpec(
        unit=OWN, better="lower", agrees=True, series=True, live=True, label=label,
        shown=("curves", *shown),
        summary=LOSS.summary,
    )  # fmt: skip


def _nll(label: str, *shown: str) -> MetricSpec:
    return MetricSpec(
        unit=NATS, better="lower", agrees=True, series=True, live=True, label=label,
        shown=("curves", *shown),
        summary=NLL.summary,
    )  # fmt: skip


CALIBRATED = MetricSpec(
    unit=NATS, better="lower", summary="nll after the fitted link and temperature"
)
ACCURACY = MetricSpec(
    unit="share", better="higher", series=True, summary="share of targets ranked first; ties split"
)
SPECS = {
    "loss": LOSS,
    "loss/train": _loss("loss/train", "run"),
    "loss/val": _loss("loss/val", "run"),
    "nll": NLL,
    "nll/train": _nll("nll/train", "compare", "report", "run", "leaderboard"),
    "nll/val": _nll("nll/val", "run"),
    "nll/test": MetricSpec(
        unit=NATS, better="lower", agrees=True, shown=("report", "run"), summary=NLL.summary
    ),
    "nll_calibrated": CALIBRATED,
    "nll_calibrated/val": MetricSpec(
        unit=NATS, better="lower", series=True, label="calibrated",
        shown=("compare", "report", "curves"),
        summary=CALIBRATED.summary,
    ),
    "accuracy": ACCURACY,
    "accuracy/val": MetricSpec(
        unit="share", better="higher", series=True, label="accuracy",
        shown=("compare", "report", "run"), summary=ACCURACY.summary,
    ),
    "top3": MetricSpec(
        unit="share", better="higher", series=True, summary="share of targets among the first three"
    ),
    "brier": MetricSpec(
        better="lower", series=True, summary="squared error of the probabilities, classes summed"
    ),
    "ece": MetricSpec(
        better="lower", series=True, summary="expected calibration error, 15 equal bins"
    ),
    "perplexity": MetricSpec(
        unit="symbols", better="lower", summary="exp(nll): equally likely choices that cost as much"
    ),
    "calibration": MetricSpec(summary="what calibration fitted, and gained"),
    "calibration/link": MetricSpec(summary="place of the fitted link in the loss's links"),
    "calibration/temperature": MetricSpec(summary="fitted divisor of the logits"),
    "calibration/gain": MetricSpec(unit=NATS, summary="nll/val - nll_calibrated/val"),
}  # fmt: skip
