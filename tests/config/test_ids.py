"""Ids are put together group by group, and are still the hash of all settings at once."""

import hashlib
import json

import pytest

from harness.config.groups import Data, Init, Loss, Model, Optim, Reg, Train
from harness.config.ids import NUMERICS
from harness.config.keys import rule_of
from harness.config.run import RunConfig, run_config
from harness.errors import ConfigError

SHA = "ab" * 32
RUNS = [
    RunConfig(),
    RunConfig(seed=3, init=Init(seed=7, weight_scale=0.3, output_bias="log_unigram")),
    RunConfig(loss=Loss(name="mse", reduction="sum"), reg=Reg(name="l2", strength=0.1)),
    RunConfig(model=Model(hidden=(8, 4), batch_norm=True), train=Train(steps=7, batch_seed=1)),
    RunConfig(optim=Optim(scaling="mup", base_width=50)),
    RunConfig(data=Data(name="file", path="words.txt"), optim=Optim(name="adam", embed_lr=0.01)),
]


def hash_of(run, *, seeds):
    """By the definition: every setting that can change a number, keys in order, as JSON."""
    kept = {
        key: value
        for key, value in run.resolved().flat().items()
        if rule_of(key)["numeric"] and key not in ("data.path", "seed")
        if seeds or not rule_of(key)["seed"]
        if not rule_of(key)["later"] or value != rule_of(key)["default"]
    }
    kept |= {"data.sha256": SHA, "numerics": NUMERICS}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("run", RUNS)
def test_an_id_is_the_hash_of_all_that_counts(run):
    assert run.run_id(SHA) == hash_of(run, seeds=True)
    assert run.config_id(SHA) == hash_of(run, seeds=False)
    assert run.run_id("cd" * 32) != run.run_id(SHA) == run.run_id(SHA)


def test_runs_read_together_share_equal_groups_and_are_the_same_runs():
    known = {}
    runs = [run_config(run.nested(), known) for run in (*RUNS, *RUNS)]
    assert runs == [*RUNS, *RUNS]
    assert runs[0].model is runs[1].model and runs[0].init is not runs[1].init
    assert [run.run_id(SHA) for run in runs[:6]] == [run.run_id(SHA) for run in RUNS]
    assert run_config({"train": {"steps": 1}}, known).train.steps == 1
    with pytest.raises(ConfigError, match=r"train\.steps is true"):
        run_config({"train": {"steps": True}}, known)  # equal to 1, and yet wrong


def test_what_a_run_remembers_is_no_part_of_it():
    run, other = RunConfig(), RunConfig()
    run.run_id(SHA)
    assert run == other and hash(run) == hash(other) and repr(run) == repr(other)
    plain = run.nested()
    plain["init"]["weight_scale"] = 9.0
    run.flat()["init.weight_scale"] = 9.0
    assert run.nested()["init"]["weight_scale"] == run.flat()["init.weight_scale"] == 1.0


def test_minus_zero_is_zero():
    minus, zero = (RunConfig(init=Init(output_scale=value)) for value in (-0.0, 0.0))
    assert minus.run_id(SHA) == zero.run_id(SHA)
