"""Verdicts and remarks on runs that are known to overfit, underfit, diverge or memorise."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness import Data, Init, Loss, Model, Optim, Reg, RunConfig, Train, load_data, train
from harness.numerics.digits import number
from harness.records.record import table_row
from harness.records.verdicts import words


def case(**more):
    """A wide network on a twentieth of the names, trained on after it has learned them."""
    given = {
        "data": Data(fraction=0.05), "model": Model(hidden=(100,)),
        "train": Train(steps=1500, eval_every=100), "optim": Optim(lr=0.2, schedule="constant"),
    }  # fmt: skip
    return RunConfig(**given | more)


@pytest.mark.slow
def test_constructed_cases_get_the_verdict_they_were_made_for():
    wide, held, blown = train(
        [
            case(),
            case(reg=Reg(name="l2", strength=300.0)),
            case(optim=Optim(lr=1e6, schedule="constant")),
        ]
    )
    assert wide.verdict == "overfit"
    assert wide.summary["overfit/onset_step"] == wide.summary["best/step"] < 1500
    assert wide.summary["gap/nll"] > 0.5 and wide.summary["overfit/excess"] > 0.05
    assert held.verdict == "underfit" and held.summary["gap/nll"] < 0.1
    assert blown.verdict == "diverged" and any("diverged at step" in w for w in blown.warnings)


@pytest.mark.slow
def test_early_stopping_ends_where_patience_does():
    """Same run, stopped after 3 evaluations without a better validation loss."""
    whole, stopped = train(
        [case(), case(train=Train(steps=1500, eval_every=100, early_stopping=3))]
    )
    best = whole.summary["best/step"]
    assert stopped.summary["best/step"] == best
    assert int(stopped.series["nll/val"][0][-1]) == best + 300
    assert whole.series["nll/val"][1][: len(stopped.series["nll/val"][1])].tolist() == (
        stopped.series["nll/val"][1].tolist()
    )


@pytest.mark.slow
def test_memorising_a_known_source_is_certified_and_learning_it_is_not():
    data = Data(name="markov", words=200)
    learned, memorised = train(
        [
            case(data=data, train=Train(steps=1, eval_every=1)),
            case(data=data, train=Train(steps=3000, eval_every=1000)),
        ]
    )
    oracle, n = load_data(data).oracle["nll_train"], load_data(data).train.n
    evidence = memorised.summary["memorised/evidence"]
    assert evidence == pytest.approx(n * (oracle - memorised.summary["nll/train"]))
    assert evidence > 10 and any("certified memorisation" in w for w in memorised.warnings)
    assert learned.summary["memorised/evidence"] < 0
    assert not any("memorisation" in w for w in learned.warnings)


@pytest.mark.slow
def test_memorising_agrees_with_what_a_known_source_proves():
    """200 steps on 100 words of a known source, whose gap the source certifies as memory, and 2,000
    on 3,000 words, which cost more than under their source even in training.
    """
    few, many = Data(name="markov", words=100), Data(name="markov", words=3000)
    [by_heart] = train([case(data=few, train=Train(steps=200, eval_every=20))])
    [learned] = train([case(data=many, train=Train(steps=2000, eval_every=200))])
    assert by_heart.verdict == "memorising" and "overfit/onset_step" not in by_heart.summary
    assert by_heart.summary["memorised/evidence"] > 10
    assert learned.verdict == "fit" and learned.summary["memorised/evidence"] < 0


def test_floors_and_perplexities_stand_in_every_record():
    [record] = train([case(train=Train(steps=2), loss=Loss(name="bce"))])
    got = record.summary
    assert got["floor/context"] < got["floor/bigram"] < got["floor/unigram"] < math.log(27)
    assert math.log(got["perplexity/val"]) == pytest.approx(got["nll/val"])


def test_without_validation_or_with_too_few_to_calibrate():
    """The words hold the number that decided, of what could be measured."""
    moons = Data(name="moons", words=60, split=(1, 0, 0))
    gentle = {"optim": Optim(lr=0.01), "train": Train(steps=200, eval_every=50)}
    [bare] = train([case(data=moons, loss=Loss(name="squared_error"), **gentle)])
    assert bare.verdict == "unvalidated" and "gap/loss" not in bare.summary
    assert words(table_row(bare.to_plain())).startswith("unvalidated, training loss 0.")

    from_zero = {"init": Init(output_scale=0), "optim": Optim(lr=0.1)}
    few = case(data=Data(name="markov", words=60), loss=Loss(name="mse"), **from_zero)
    short, long = train(
        [replace(few, train=Train(steps=n, eval_every=n // 4)) for n in (200, 1000)]
    )
    for run, want in ((short, "fit"), (long, "memorising")):  # 48 words, a wide network
        gap = run.summary["loss/val"] - run.summary["loss/train"]
        assert "nll_calibrated/val" not in run.summary
        assert words(table_row(run.to_plain())) == f"{want}, loss gap {number(gap, 2)}"
