"""Searching a space: what a trial is, going on after a kill, and what cannot be searched."""

import json
import math
import re

import numpy as np
import pytest

from harness.cli.space import Dimension, Space
from harness.cli.study import ask, importances, study_name
from harness.config.settings import Search
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from harness.records.searches import Study, Trial, open_study, read_study, studies
from tests.support.driven import harness, kill_group, start, wait_for

SPACE = Space(
    fixed=("data.fraction=0.02",),
    dimensions=(
        Dimension(key="optim.lr", low=0.001, high=10.0, log=True),
        Dimension(key="model.n_embd", low=2, high=12, step=1),
        Dimension(key="init.weight_scale", low=0.0, high=2.0),
    ),
    replicates=(("seed", ("0", "1", "2")),),
)


def valley(params):
    """Least, 0, at lr .1, n_embd 6, scale 1."""
    lr, n, scale = params["optim.lr"], params["model.n_embd"], params["init.weight_scale"]
    return math.log10(lr / 0.1) ** 2 + ((n - 6) / 5) ** 2 + (scale - 1) ** 2


def searched(tmp_path, sampler, trials, seed=0, batch=8):
    """A study of `valley`, kept and read back between any two batches."""
    settings = Search(sampler=sampler, seed=seed, batch=batch)
    name = study_name(SPACE, settings)
    while True:
        study = open_study(tmp_path, name)
        if len(study.told) >= trials:
            return study
        asked = ask(study, SPACE, settings, batch)
        study.batches.append([Trial(params, ["r"], valley(params)) for params in asked])
        study.save()


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes"])
def test_a_search_stays_in_its_space_and_is_the_same_again(tmp_path, sampler):
    one = searched(tmp_path / "a", sampler, 32)
    two = searched(tmp_path / "b", sampler, 32)
    assert [t.params for t in one.trials] == [t.params for t in two.trials]
    other = searched(tmp_path / "c", sampler, 32, seed=1)
    assert [t.params for t in one.trials] != [t.params for t in other.trials]
    for trial in one.trials:
        assert 0.001 <= trial.params["optim.lr"] <= 10
        assert trial.params["model.n_embd"] in range(2, 13)
        assert 0 <= trial.params["init.weight_scale"] <= 2


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_model_of_what_was_told_beats_random_draws(tmp_path, sampler):
    """Mean over four seeds of the best of 48: each far below that of random search."""

    def best(name):
        found = [
            searched(tmp_path / f"{name}{seed}", name, 48, seed=seed) for seed in range(4)
        ]  # fmt: skip
        return np.mean([min(t.value for t in study.told) for study in found])

    assert best(sampler) < 0.7 * best("random")


def test_the_first_batch_covers_the_space_evenly():
    points = ask(Study("x", None), SPACE, Search(), 16)
    shares = [(math.log10(p["optim.lr"]) + 3) / 4 for p in points]
    assert sorted(int(share * 16) for share in shares) == list(range(16))  # one in each sixteenth


def test_a_diverged_trial_is_a_bad_value_and_goes_on(tmp_path):
    study = Study("x", tmp_path / "x.json")
    first = ask(study, SPACE, Search(), 8)
    study.batches.append([Trial(p, ["r"], math.inf if i % 2 else 1.0) for i, p in enumerate(first)])
    study.save()
    again = read_study(study.path)
    assert [t.value for t in again.told] == [t.value for t in study.told]
    assert len(ask(again, SPACE, Search(), 8)) == 8


def test_importance_goes_to_the_setting_that_matters(tmp_path):
    study = searched(tmp_path, "qmc", 64)
    for trial in study.trials:
        trial.value = math.log10(trial.params["optim.lr"]) ** 2
    shares = importances(study, SPACE)
    assert max(shares, key=shares.get) == "optim.lr" and shares["optim.lr"] > 0.8


def test_a_strength_is_asked_for_only_where_there_is_a_penalty():
    space = Space(
        (), (Dimension(key="reg", choices=("none", "l2")),
             Dimension(key="reg.strength", low=0.1, high=30.0, log=True)), ()
    )  # fmt: skip
    settings, study = Search(batch=16), Study("x", None)
    for _ in range(2):
        asked = ask(study, space, settings, 16)
        assert {p["reg"] for p in asked} == {"none", "l2"}
        assert all(("reg.strength" in p) == (p["reg"] == "l2") for p in asked)
        study.batches.append([Trial(p, [], float(len(p))) for p in asked])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["optim.lr=.1"], "nothing to search for"),
        (["optim.lr=interval(3,1)"], "is empty"),
        (["optim.lr=tag(log,interval(0,1))"], "above 0"),
        (["optim.lr=tag(log,choice(.1,.2))"], "a choice has no scale"),
        (["seed=interval(0,3)", "optim.lr=.1,.2"], "seeds are a list"),
        (["optim.lr=.1,.2", "search.trails=3"], "Did you mean"),
        (["optim.lr=.1,.2", "search.sampler=gp"], "search.sampler is 'gp'"),
        (["optim.lr=.1,.2", "search.batch=0"], "search.batch is 0"),
        (["optim.lr=.1,.2", "search.sampler=cmaes"], "cmaes"),
        (["optim.lr=.1,.2", "--into", "abc"], "--into means nothing"),
        (["optim.lr=interval(.1,-5)"], "is empty"),
        (["optim.lr=.1,.2", "data=moons", "loss=max_margin", "data.split=[1,0,0]"],
         "by which harness search"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_and_leaves_nothing(argv, words, tmp_path, monkeypatch):
    from harness.cli import search

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        search.run([*argv, "data.fraction=0.02", "train.steps=5", "tracking=off"])
    assert words in str(refused.value)
    assert not list(tmp_path.iterdir())


WORDS = [
    "search", "optim.lr=tag(log,interval(.01,1))", "init.weight_scale=interval(0,2)", "seed=0,1",
    "search.trials=12", "search.batch=4", "data.fraction=0.02", "model.hidden=[8]",
    "train.steps=400", "tracking=off", "--quiet",
]  # fmt: skip


@pytest.mark.slow
def test_a_search_killed_again_and_again_ends_as_one_left_alone(tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    alone.mkdir()
    code, _, err = harness(*WORDS, cwd=alone)
    assert code == 0, err
    for told in (0, 0, 4, 4, 8):  # killed once so many trials have a value
        process = start(*WORDS, cwd=killed)

        def far(told=told):
            """Something of the batch behind that many trials is on disk."""
            paths = list((killed / "runs" / "searches").glob("*.json"))
            study = read_study(paths[0]) if paths else None
            return study is not None and len(study.trials) > told

        wait_for(far, process)
        kill_group(process)
    code, out, err = harness(*WORDS, cwd=killed)
    assert code == 0, err
    (one,), (two,) = studies(alone / "runs"), studies(killed / "runs")
    assert [(t.params, t.runs, t.value) for t in one.trials] == [
        (t.params, t.runs, t.value) for t in two.trials
    ]
    assert len(one.trials) == 12 and one.sweep_id == two.sweep_id
    assert "best of 12 trials" in out.lower()
    before = Ledger(killed / "runs").read_sweep()
    assert len(before.run_ids) == 24
    code, again, _ = harness(*WORDS, cwd=killed)  # a finished one answers and trains nothing
    assert code == 0 and re.sub(r"\s+", " ", again) == re.sub(r"\s+", " ", out)


@pytest.mark.slow
def test_confirm_trains_the_best_on_fresh_seeds(tmp_path):
    grid = ["sweep", "optim.lr=.02,.1,.5", "seed=0,1", "data.fraction=0.02", "model.hidden=[8]",
            "train.steps=60", "tracking=off", "--quiet"]  # fmt: skip
    assert harness(*grid, cwd=tmp_path)[0] == 0
    code, out, err = harness("confirm", "--top", "2", "--seeds", "3", cwd=tmp_path)
    assert code == 0, err
    ledger = Ledger(tmp_path / "runs")
    own = ledger.read_sweep()
    assert len(own.run_ids) == 6
    seeds = {own.configs[run_id]["seed"] for run_id in own.run_ids}
    assert seeds == {2, 3, 4}  # none that chose
    code, text, _ = harness("compare", "--json", own.confirms["sweep_id"], cwd=tmp_path)
    means = sorted(row["metrics"]["best/nll_val"]["mean"] for row in json.loads(text))
    assert [one["value"] for one in own.confirms["chosen"]] == pytest.approx(means[:2])
    fresh = [ledger.read(run_id).summary["best/nll_val"] for run_id in own.run_ids]
    rates = [own.configs[run_id]["optim"]["lr"] for run_id in own.run_ids]
    best = np.mean([v for v, lr in zip(fresh, rates, strict=True) if lr == rates[0]])
    assert f"{best:.4f}" in out and f"{best - means[0]:+.4f}" in out and "nll/test" in out
    assert harness("confirm", "--top", "0", cwd=tmp_path)[0] == 2
