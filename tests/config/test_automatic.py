"""One spelling of a setting: automatic values as RunConfig resolves them."""

import pytest

from harness import Init, Optim, RunConfig, Train
from harness.config.automatic import FOLLOWS, SEEDS, follows, spelled, unspelled, varying

RUNS = [
    RunConfig(),
    RunConfig(init=Init(bias="normal"), optim=Optim(lr=0.3), train=Train(steps=130), seed=4),
    RunConfig(init=Init(output_bias="constant", seed=9), optim=Optim(embed_lr=0.01)),
    RunConfig(train=Train(steps=7, eval_every=2, batch_seed=1)),
]


@pytest.mark.parametrize("run", RUNS)
def test_the_rules_are_those_of_the_resolved_run(run):
    [flat] = spelled([run.flat()])
    resolved = run.resolved().flat()
    for key in set(FOLLOWS) - set(SEEDS) - {"data.unique_words"}:
        assert flat[key] == resolved[key]


def test_an_automatic_value_and_its_explicit_equal_are_spelled_alike():
    explicit = RunConfig(
        init=Init(output_bias="zero", seed=0), optim=Optim(embed_lr=0.1),
        train=Train(eval_every=100, batch_seed=0),
    )  # fmt: skip
    assert spelled([explicit.flat()]) == spelled([RunConfig().flat()])
    assert spelled([RunConfig().flat()])[0]["init.seed"] is None  # it merely follows


def test_unspelled_is_what_one_would_write():
    written = RunConfig(optim=Optim(lr=0.3, embed_lr=0.1), seed=4).flat()
    assert unspelled(spelled([written])[0]) == written


def test_a_seed_held_fixed_is_given_in_every_run():
    rows = spelled([RunConfig(seed=s, init=Init(seed=0)).flat() for s in (0, 1)])
    assert [row["init.seed"] for row in rows] == [0, 0]
    assert varying(rows) == ["seed"]


def test_what_follows_another_setting_does_not_vary_by_itself():
    rows = spelled([RunConfig(optim=Optim(lr=lr)).flat() for lr in (0.1, 0.3)])
    assert [row["optim.embed_lr"] for row in rows] == [0.1, 0.3]
    assert varying(rows) == ["optim.lr"] and follows(rows, "optim.embed_lr")
    apart = spelled([RunConfig(optim=Optim(lr=lr, embed_lr=0.1)).flat() for lr in (0.1, 0.3)])
    assert varying(apart) == ["optim.lr"]
    both = [RunConfig(optim=Optim(lr=a, embed_lr=b)).flat() for a, b in ((0.1, 0.1), (0.1, 0.3))]
    assert varying(spelled(both)) == ["optim.embed_lr"]
