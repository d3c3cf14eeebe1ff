"""Metrics: what their specs say, and one of a user's own beside the built-in ones."""

import numpy as np
import pytest

from harness.components.checks import check
from harness.components.metrics import METRICS, MetricSpec, having, metric_of, shown_in
from harness.config.groups import Data, Engine, Loss, Model, Train
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.errors import ConfigError


def cost(logits, target, weight):
    """Mean cross-entropy, nats."""
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(-(weight * logp[np.arange(len(target)), target]).sum())


def margin(logits, target, weight):
    return float((weight * logits[:, 0] * target).sum())


@pytest.fixture(autouse=True)
def own(monkeypatch):
    monkeypatch.setattr(METRICS, "_registered", {})
    METRICS.register("cost", MetricSpec(value=cost, kind="classes", better="lower", live=True))
    METRICS.register("margin", MetricSpec(value=margin, kind="binary", better="higher"))


def small(kernel="auto", **settings):
    return RunConfig(
        data=Data(fraction=0.02), model=Model(hidden=(6,)),
        train=Train(steps=10, eval_every=5, **settings), engine=Engine(kernel=kernel),
    )  # fmt: skip


@pytest.mark.parametrize("kernel", ["auto", "torch"])
def test_its_numbers_are_those_of_the_whole_splits(kernel):
    """Cross-entropy by the user's function is nll, on every evaluation; training has none."""
    (record,) = train([small(kernel, metrics=("cost",))])
    steps, values = record.series["cost/val"]
    assert steps.tolist() == [0, 5, 10]
    assert values == pytest.approx(record.series["nll/val"][1], abs=1e-6)
    assert record.summary["cost/test"] == pytest.approx(record.summary["nll/test"], abs=1e-6)
    assert record.summary["cost/val"] == values[-1]
    assert "cost/train" not in record.summary


@pytest.mark.parametrize("kernel", ["auto", "torch"])
def test_it_changes_no_other_number_and_no_neighbour(kernel):
    with_it, without = train([small(kernel, metrics=("cost",)), small(kernel)])
    assert set(with_it.series) - set(without.series) == {"cost/val"}
    assert with_it.run_id != without.run_id
    for name, (_, values) in without.series.items():
        assert np.array_equal(with_it.series[name][1], values)
    (alone,) = train([small(kernel)])
    assert "cost/val" not in alone.series
    assert np.array_equal(alone.series["nll/val"][1], without.series["nll/val"][1])


def test_labels_of_binary_data_are_minus_one_and_one():
    run = RunConfig(
        data=Data(name="moons"), loss=Loss(name="max_margin"), model=Model(hidden=(6,)),
        train=Train(steps=200, metrics=("margin",)),
    )  # fmt: skip
    (record,) = train([run])
    assert record.series["margin/val"][1][-1] > 0.5 > record.series["margin/val"][1][0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cost", "is 'cost'; allowed: a list of metrics of your own; known: cost, margin"),
        (["nll/val"], "'nll/val', which every run measures by itself"),
        (["coast"], "Did you mean 'cost'"),
        (["cost", "cost"], "each may be named once"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Train(metrics=given)


def test_it_must_fit_the_data():
    with pytest.raises(ConfigError, match="'margin', which has no meaning for data=census"):
        small(metrics=("margin",))


def test_every_built_in_metric_of_a_run_has_a_spec_of_its_own_or_of_its_family():
    (record,) = train([small()])
    for name in {*record.series, *record.summary}:
        assert not metric_of(name).missing, name
    assert metric_of("never/heard_of").missing


def test_views_show_what_they_did_and_ones_own():
    assert shown_in("narrow", having()) == ["gap/nll", "init/loss_measured"]
    assert set(having(live=True)) == {"loss/train", "loss/val", "nll/train", "nll/val"}
    assert shown_in("report", ["cost/test", "cost/val", "nll/train"]) == ["nll/train", "cost/val"]


def test_check_finds_what_is_wrong_with_one():
    assert check(MetricSpec(value=cost, kind="classes")) == []
    assert check(MetricSpec(value=margin, kind="binary")) == []
    mean = MetricSpec(value=lambda z, _t, _w: float(z.sum()), shown=("compere",))
    found = " ".join(check(mean))
    assert "listed twice" in found and "'compere'" in found
    spoils = MetricSpec(value=lambda z, _t, _w: z.sort(0) or 1.0, kind="classes")
    assert "changes the arrays" in " ".join(check(spoils))
    assert "one finite number" in " ".join(check(MetricSpec(value=lambda *_: np.nan)))
