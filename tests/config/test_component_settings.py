"""Settings that components declare for themselves: in configs, ids, files and training."""

import dataclasses

import numpy as np
import pytest
import yaml

from harness import Data, Loss, Model, RunConfig, Train, train
from harness.components import LOSSES, LossSpec, register
from harness.config.foreign import check_trainable
from harness.config.keys import nest, rule_of, unnest
from harness.config.run import run_config, varying
from harness.errors import ConfigError, PluginError
from harness.records.manifests import new_sweep
from harness.records.record import table_row
from harness.records.saved import config_yaml, overrides_of, read_config
from tests.support.strange import FOCAL

TINY = {
    "data": Data(fraction=0.02), "model": Model(n_embd=3, hidden=(5,)),
    "train": Train(steps=6, batch_size=4, eval_every=3),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def focal():
    scope = {}
    exec(compile(FOCAL, "focal", "exec"), scope)
    register("focal_here", scope["SPEC"])


def run(gamma=None, **loss):
    params = {} if gamma is None else {"gamma": gamma}
    return RunConfig(loss=Loss(name="focal_here", params=params, **loss), **TINY)


def test_a_default_given_and_not_given_are_one_run():
    assert run() == run(2) and run().loss.params == {"gamma": 2.0}
    assert run().run_id("d") == run(2.0).run_id("d") != run(3).run_id("d")
    assert run(3).config_id("d") != run().config_id("d")


def test_built_in_losses_have_no_such_keys():
    assert not [key for key in RunConfig().flat() if ".params" in key]
    assert run(3).flat()["loss.params.gamma"] == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: run(11), r"loss\.params\.gamma is 11; allowed: a number from 0 to 10"),
        (
            lambda: Loss(params={"gamma": 1}),
            r"gamma is not a setting of the loss cross_entropy",
        ),
        (lambda: Loss(name="focal_here", params={"gama": 1}), "Did you mean 'gamma'"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_it_survives_every_spelling():
    config = run(3)
    assert run_config(config.nested()) == config
    assert nest(unnest(config.nested())) == config.nested()
    assert read_config(yaml.safe_load(config_yaml(config, {"version": "1"}))) == config
    assert "loss.params.gamma=3.0" in overrides_of(config)
    assert hash(config) == hash(run(3.0))


def test_a_saved_config_must_hold_it():
    plain = yaml.safe_load(config_yaml(run(3), {"version": "1"}))
    del plain["loss"]["params"]
    with pytest.raises(ConfigError, match=r"lacks loss\.params\.gamma \(now 2\.0 by default\)"):
        read_config(plain)


def test_it_varies_and_stays_with_the_runs_that_have_it():
    mixed = {"a": RunConfig(**TINY), "b": run(1), "c": run(3)}
    assert varying(mixed.values()) == ["loss.name", "loss.params.gamma"]
    sweep = new_sweep(mixed)
    assert "loss.params.gamma" in sweep.varying
    again = type(sweep).from_plain(sweep.to_plain())
    assert {k: run_config(v) for k, v in again.configs.items()} == mixed
    assert "gamma=3" in sweep.names["c"] and "gamma" not in sweep.names["a"]
    assert rule_of("loss.params.gamma")["stacks"] and not rule_of("optim.params.beta")["stacks"]


def test_runs_that_differ_in_it_are_trained_in_one_stack_as_alone():
    """Bit for bit; and an exponent of 0 is cross-entropy to rounding."""
    runs = [run(g) for g in (0.0, 1.0, 3.0, 1.0)] + [RunConfig(**TINY)]
    runs = [dataclasses.replace(one, seed=seed) for seed, one in enumerate(runs)]
    together = train(runs)
    for one, record in zip(runs, together, strict=True):
        (alone,) = train([one])
        for name, weight in alone.weights.items():
            assert np.array_equal(weight, record.weights[name]), name
    plain, zero = train([RunConfig(**TINY), run(0.0)])
    assert zero.summary["nll/val"] == pytest.approx(plain.summary["nll/val"], rel=1e-5)
    assert table_row(together[2].to_plain())["loss.params.gamma"] == 3.0


def test_registering_again_trains_with_what_is_registered_now():
    """Nothing is remembered by the name alone, the expected loss neither."""
    cross_entropy, found = LOSSES.get("cross_entropy"), []
    for factor in (1.0, 3.0):

        def value(*args, factor=factor):
            return factor * cross_entropy.value(*args)

        def expected(*args, factor=factor, **options):
            return factor * cross_entropy.expected(*args, **options)

        register("scaled_here", LossSpec(value=value, expected=expected))
        config = RunConfig(loss=Loss(name="scaled_here"), **TINY)
        found.append(train([config])[0].summary)
    for name in ("init/loss_expected", "init/loss_measured"):
        assert found[1][name] == pytest.approx(3 * found[0][name], rel=1e-5)


def test_what_a_call_registered_is_refused_where_other_processes_train():
    check_trainable([run()])  # here it can be
    with pytest.raises(ConfigError, match=r"loss\.name is 'focal_here', which a call of register"):
        check_trainable([run()], elsewhere=True)
    check_trainable([RunConfig(**TINY)], elsewhere=True)


def test_a_component_that_is_missing_is_not_trained():
    LOSSES.recall("lost_loss", {"unit": "points"}, {
        "distribution": "lost-losses", "version": "2", "sha256": "0",
    })  # fmt: skip
    lost = RunConfig(loss=Loss(name="lost_loss", params={"depth": 3}), **TINY)
    assert lost.flat()["loss.params.depth"] == 3 and lost.loss.spec.unit == "points"
    with pytest.raises(PluginError, match=r"lost-losses 2; install that"):
        train([lost])
