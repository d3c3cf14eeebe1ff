"""How a sweep's end is told: counts of verdicts, what their runs share, what to ask next."""

import itertools

import pytest

from harness.analysis.story import cause, phi, questions, verdict_words
from harness.config.run import RunConfig
from harness.records.ranking import ranking

BASE = RunConfig().flat()


def rows_over(axes, verdict, value=lambda flat: 2.5):
    """One row a point of the grid; its verdict and best nll by what it was set to."""
    out = []
    for number, point in enumerate(itertools.product(*axes.values())):
        flat = BASE | dict(zip(axes, point, strict=True))
        config = repr({k: v for k, v in flat.items() if k != "seed"})
        row = {"run_id": f"{number:016x}", "config_id": config, "verdict": verdict(flat)}
        out.append(row | flat | {"best/nll_val": value(flat), "best/nll_calibrated_val": 2.5})
    return out


def test_counts_and_causes():
    axes = {
        "loss.name": ["cross_entropy", "mse"], "reg.strength": [0.0, 0.1, 1.0],
        "optim.lr": [0.1, 0.3], "seed": [0, 1],
    }  # fmt: skip

    def verdict(flat):
        if flat["loss.name"] == "mse":
            return "diverged"
        overfit = flat["reg.strength"] == 0 or (
            flat["reg.strength"] == 0.1 and flat["optim.lr"] == 0.3 and flat["seed"] == 0
        )
        return "overfit" if overfit else "fit"

    told = verdict_words(rows_over(axes, verdict), [*axes])
    assert told == (
        "12 diverged, all loss.name=mse; 5 overfit, most at reg.strength=0; "
        "7 fit, all reg.strength>=0.1"
    )


def test_an_end_of_a_number_is_a_cause():
    axes = {"optim.lr": [0.1, 0.3, 1.0, 3.0], "seed": [0, 1, 2]}
    told = verdict_words(
        rows_over(axes, lambda flat: "diverged" if flat["optim.lr"] >= 1 else "fit"), [*axes]
    )
    assert told == "6 diverged, all optim.lr>=1; 6 fit"


def test_no_cause_is_named_where_nothing_stands_out():
    axes = {"optim.lr": [0.1, 0.3], "seed": [0, 1, 2, 3]}
    told = verdict_words(
        rows_over(axes, lambda flat: "overfit" if flat["seed"] % 2 else "fit"), [*axes]
    )
    assert told == "4 overfit; 4 fit"
    assert verdict_words(rows_over(axes, lambda flat: "fit"), [*axes]) == "all 8 fit"


def test_phi_is_a_correlation():
    import numpy as np

    one = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool)
    other = np.array([1, 1, 0, 1, 0, 0, 0, 0], bool)
    assert phi(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-12)
    assert phi(one, one) == 1.0
    assert cause(np.ones(3, bool), []) is None


def test_what_is_at_the_end_of_what_was_tried_is_the_next_question():
    axes = {"optim.lr": [0.1, 0.3, 0.9], "seed": [0, 1]}
    rows = rows_over(axes, lambda flat: "fit", lambda flat: 3 - flat["optim.lr"])
    told = questions(rows, [*axes], ranking(rows))
    assert told == ["The best is at the highest optim.lr tried: try 2.7 too."]
    inside = rows_over(axes, lambda flat: "fit", lambda flat: abs(flat["optim.lr"] - 0.3))
    assert questions(inside, [*axes], ranking(inside)) == []


def test_nothing_is_asked_beyond_what_a_setting_may_be():
    axes = {"reg.strength": [0.0, 0.5, 1.0]}
    rows = rows_over(axes, lambda flat: "fit", lambda flat: 2 + flat["reg.strength"])
    assert questions(rows, [*axes], ranking(rows)) == [
        "One seed each, so differences may be chance: sweep seed=0,1,2 as well."
    ]


def test_a_loss_that_diverges_by_itself_asks_for_its_own_rate():
    axes = {"loss.name": ["cross_entropy", "mse"], "seed": [0, 1]}
    rows = rows_over(axes, lambda f: "diverged" if f["loss.name"] == "mse" else "overfit")
    told = questions(rows, [*axes], ranking(rows))
    assert told[0] == (
        "loss.name=mse may need a lower learning rate than the others: sweep optim.lr there."
    )
    assert told[1].startswith("Every run that finished is overfit")
