"""Lines to hold a run's NLL against: counting models, and a source that is known exactly."""

from harness.components.metrics import NATS, MetricSpec


def _floor(summary: str, label: str = "", counts: str = "") -> MetricSpec:
    return MetricSpec(
        unit=NATS, better="lower", when="start", of_data=True, label=label, counts=counts,
        shown=("figures",) * bool(label), summary=summary,
    )  # fmt: skip


SPECS = {
    "floor": _floor("what a simpler model reaches"),
    "floor/unigram": _floor("symbol frequencies alone, training split", "unigram"),
    "floor/bigram": _floor("counts of one character of context, training split", "bigram"),
    "floor/context": _floor(
        "counts of the whole context, training split: no model of it trains lower", "floor (train)"
    ),
    "floor/unigram_val": _floor(
        "symbol frequencies (add 0.1) on validation", counts="symbols"
    ),
    "floor/bigram_val": _floor(
        "one character of context (add 0.1) on validation", counts="pairs"
    ),
    "floor/context_val": _floor(
        "counting the whole context (add 0.1) on validation: to be beaten", "counting (val)",
        counts="contexts",
    ),
    "floor/entropy_rate": _floor(
        "entropy rate of the source: the lowest expected nll", "entropy rate"
    ),
    "floor/oracle_train": _floor("the true source on the training words"),
    "floor/oracle_val": _floor("the true source on the validation words"),
    "floor/oracle_test": _floor("the true source on the test words"),
}  # fmt: skip
