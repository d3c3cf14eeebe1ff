"""The best run, by one rule: constructed rows whose order is known."""

from __future__ import annotations

import pytest

from harness.records.partial import DIVERGED, DROPPED, STOPPED, counts, ended_early, stopping_step
from harness.records.ranking import best_runs, ranking, yardstick


def row(run_id, config, best, *, loss="cross_entropy", calibrated=None, verdict="fit", **more):
    out = {"run_id": run_id, "config_id": config, "loss.name": loss, "verdict": verdict,
           "best/nll_val": best, **more}  # fmt: skip
    return out if calibrated is None else {**out, "nll_calibrated/val": calibrated}


def order(rows):
    return [standing.config_id for standing in ranking(rows).standings]


def test_seeds_are_folded_before_configurations_are_compared():
    """b has the best single run and the worse mean."""
    rows = [row("a0", "a", 2.0), row("a1", "a", 2.2), row("b0", "b", 1.9), row("b1", "b", 2.5)]
    found = ranking(rows)
    assert order(rows) == ["a", "b"] and best_runs(rows) == ("a0",)
    assert (
        found.best.value.mean == pytest.approx(2.1)
        and found.among(found.best) == "best of 2 configurations"
    )


def test_likelihoods_are_compared_as_they_are():
    rows = [row("a", "a", 2.0, calibrated=1.5), row("b", "b", 1.9, loss="nll", calibrated=1.6)]
    assert yardstick(rows).metric == "best/nll_val" and best_runs(rows) == ("b",)


def test_where_losses_differ_outputs_are_calibrated_first():
    """By raw NLL mse would be last of all: its outputs are no log-probabilities."""
    rows = [row("a", "a", 2.0, calibrated=2.0), row("b", "b", 3.2, loss="mse", calibrated=1.9)]
    assert yardstick(rows).reason == "calibrated" and best_runs(rows) == ("b",)
    assert "losses differ" in str(yardstick(rows))


def test_the_calibrated_nll_at_the_best_step_is_preferred():
    rows = [row("a", "a", 2.0, calibrated=2.0), row("b", "b", 3.2, loss="mse", calibrated=1.9)]
    best = [{**one, "best/nll_calibrated_val": value} for one, value in zip(rows, (1.7, 1.8))]  # noqa: B905
    assert yardstick(best).metric == "best/nll_calibrated_val" and best_runs(best) == ("a",)
    # known of one run alone it compares nothing
    assert yardstick([rows[0], best[1]]).metric == "nll_calibrated/val"


def test_raw_outputs_of_one_loss_are_calibrated_too():
    rows = [row("a", "a", 3.2, loss="mse", calibrated=2.0),
            row("b", "b", 3.1, loss="mse", calibrated=2.1)]  # fmt: skip
    assert best_runs(rows) == ("a",) and "mse" in str(yardstick(rows))


def test_what_cannot_be_calibrated_is_compared_within_its_loss_alone():
    rows = [row("a", "a", 2.0), row("b", "b", 3.2, loss="mse"), row("c", "c", 3.1, loss="mse")]
    found = ranking(rows)
    assert found.best is None and best_runs(rows) == ("a", "c")
    assert [found.among(one) for one in found.bests] == [
        "the only configuration with cross_entropy", "best of 2 configurations with mse",
    ]  # fmt: skip
    assert "each loss apart" in str(found.yardstick)


def test_one_loss_alone_needs_no_comparison_between_losses():
    rows = [row("b", "b", 3.2, loss="mse"), row("c", "c", 3.1, loss="mse")]
    found = ranking(rows)
    assert found.best.best_run == "c" and not found.yardstick.apart


def test_a_diverged_run_is_never_the_best():
    rows = [row("a", "a", 1.0, verdict="diverged"), row("b", "b", 2.0), row("c", "c", 3.0)]
    assert order(rows) == ["b", "c", "a"] and best_runs(rows) == ("b",)
    assert best_runs(rows[:1]) == ()
    # nor does its loss decide what the others are compared by
    rows[0]["loss.name"] = "mse"
    assert yardstick(rows).reason == "likelihood"


def test_a_configuration_that_lost_a_run_comes_after_all_others():
    rows = [row("a0", "a", 1.0), row("a1", "a", 1.0, verdict="diverged"), row("b", "b", 2.0)]
    assert order(rows) == ["b", "a"]
    assert best_runs(rows[:2]) == ("a0",)  # where there is no other


def test_ties_keep_the_order_given():
    assert order([row("a", "x", 2.0), row("b", "y", 2.0)]) == ["x", "y"]
    assert order([row("b", "y", 2.0), row("a", "x", 2.0)]) == ["y", "x"]


def test_no_run_no_best():
    assert best_runs([]) == () and ranking([]).best is None


def stopping(best, **more):
    settings = {"train.steps": 1000, "train.eval_every": None, "train.early_stopping": 3}
    return {"best/step": best, "verdict": "overfit", **settings, **more}


def test_the_step_of_early_stopping_follows_from_the_best_one():
    """1,000 steps are looked at every 50: three looks after step 400 is 550."""
    assert stopping_step(stopping(400.0)) == 550
    assert stopping_step(stopping(900.0)) is None  # training ended first
    assert stopping_step(stopping(400.0) | {"train.early_stopping": None}) is None
    assert stopping_step(stopping(400.0, **{"train.eval_every": 10})) == 430


def test_what_counts_of_a_run_that_ended_early():
    assert ended_early(stopping(400.0)) == STOPPED
    assert ended_early(stopping(400.0, verdict="diverged")) == DIVERGED
    assert ended_early(stopping(950.0) | {"stopped_at": 100}) == DROPPED
    assert ended_early(stopping(950.0)) == ""
    for ended in (DIVERGED, DROPPED, STOPPED):
        assert counts("init/loss_measured", ended) and not counts("nll/val", ended)
    assert counts("best/nll_val", STOPPED) and not counts("best/nll_val", DROPPED)
    assert not counts("best/nll_val", DIVERGED)


def test_runs_stopped_early_are_compared_by_their_best_value_not_their_last():
    """Their calibrated value is of their last step: losses are then ranked apart."""
    kept = {"train.steps": 1000, "train.eval_every": 50, "train.early_stopping": 3}
    rows = [row("a", "a", 2.0, calibrated=1.0, **kept, **{"best/step": 100.0}),
            row("b", "b", 3.0, loss="mse", calibrated=1.9, **kept)]  # fmt: skip
    assert yardstick(rows).apart
    assert yardstick(rows[:1]).metric == "best/nll_val" and best_runs(rows[:1]) == ("a",)


def test_words_name_yardstick_spread_and_how_many():
    rows = [row("a0", "a", 2.0), row("a1", "a", 2.2), row("b", "b", 3.0)]
    found = ranking(rows)  # half of Student's interval: 12.706 x .1414 / sqrt 2 = 1.2706
    assert found.words(found.best) == (
        "Best of 2 configurations by best/nll_val: 2.1000 ± 1.2706, mean of 2 seeds"
    )
