"""Rates that follow the width: the factors of the paper's table, and when they change nothing."""

import pytest
import torch

from harness import Data, Model, Optim, RunConfig, Train, train
from harness.engine.rates import rate_factor
from harness.errors import ConfigError

SMALL = {"data": Data(fraction=0.02), "train": Train(steps=20)}


def factors(optim, hidden=(200, 400)):
    run = RunConfig(model=Model(hidden=hidden), optim=Optim(name=optim, scaling="mup"))
    names = ("embedding.weight", "hidden.0.weight", "hidden.0.bias", "hidden.1.weight",
             "hidden.1.bias", "output.weight", "output.bias")  # fmt: skip
    return [rate_factor(run.resolved(), name) for name in names]


def test_factors_are_those_of_the_papers_table():
    """Yang et al. 2022, arXiv:2203.03466, table 3; widths twice and four times the base."""
    assert factors("sgd") == factors("momentum") == [1, 2, 2, 2, 4, 0.25, 1]
    assert factors("adam") == factors("adamw") == [1, 1, 1, 0.5, 1, 0.25, 1]


def test_there_is_nothing_to_scale_without_hidden_layers_or_without_being_asked():
    linear = RunConfig(model=Model(hidden=()), optim=Optim(scaling="mup")).resolved()
    assert rate_factor(linear, "output.weight") == 1.0
    assert rate_factor(RunConfig(model=Model(hidden=(7,))).resolved(), "output.weight") == 1.0


@pytest.mark.parametrize("optim", ["sgd", "adam"])
def test_at_the_base_width_nothing_changes_and_beyond_it_no_neighbour_does(optim):
    shape = {"model": Model(hidden=(24,)), **SMALL}
    plain, same, wide, fast = (
        RunConfig(**shape, optim=Optim(name=optim, lr=lr, **scaling))
        for lr, scaling in (
            (0.05, {}), (0.05, {"scaling": "mup", "base_width": 24}),
            (0.05, {"scaling": "mup", "base_width": 6}), (0.2, {"scaling": "mup", "base_width": 6}),
        )
    )  # fmt: skip
    a, b, c, _ = train([plain, same, wide, fast])
    (alone,) = train([wide])
    for name, weight in a.weights.items():
        assert torch.equal(weight, b.weights[name])
        assert torch.equal(c.weights[name], alone.weights[name])
    assert not torch.equal(a.weights["hidden.0.weight"], c.weights["hidden.0.weight"])


def test_ids_of_runs_without_scaling_do_not_know_of_it():
    sha = "ab" * 32
    assert RunConfig().run_id(sha) == "6a801c2bab35fab8"  # as before the setting came
    scaled = [RunConfig(optim=Optim(scaling="mup", base_width=w)).run_id(sha) for w in (50, 100)]
    assert len({RunConfig().run_id(sha), *scaled}) == 3


def test_a_base_width_that_is_not_read_is_refused():
    with pytest.raises(ConfigError, match=r"optim\.base_width is 50.*optim\.scaling=mup"):
        Optim(base_width=50)
    with pytest.raises(ConfigError, match=r"optim\.scaling is 'mupp'; .*Did you mean 'mup'"):
        Optim(scaling="mupp")
