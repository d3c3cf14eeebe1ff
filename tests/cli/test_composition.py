"""Fast composition equals Hydra's own, job by job."""

import itertools

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from harness.cli.composition import compose_jobs
from harness.cli.hydra_api import BASE
from harness.paths import conf_dir


class Composition:
    """A loader over conf/ and what Hydra itself makes of a job."""

    def __init__(self, overrides):
        self.loader = GlobalHydra.instance().config_loader()
        self.master = self.loader.load_configuration("config", overrides, RunMode.MULTIRUN)
        self.calls = 0

    def hydras_own(self, job):
        config = self.loader.load_sweep_config(self.master, list(job))
        task = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        return OmegaConf.to_container(task, resolve=True)

    def fast(self, jobs):
        return compose_jobs(self.loader, self.master, jobs)


@pytest.fixture
def composition():
    with initialize_config_dir(str(conf_dir()), **BASE):
        yield Composition


def grid(**axes):
    lists = [[f"{key}={value}" for value in values] for key, values in axes.items()]
    return [list(job) for job in itertools.product(*lists)]


@pytest.mark.slow
def test_several_hundred_jobs_equal_hydras_own(composition):
    jobs = grid(
        experiment=["main"], loss=["mse", "nll", "hinge"],
        **{"init.weight_scale": [0.1, 1, "1e-3"], "model.hidden": ["[64]", "[128,64]", "[]"],
           "init.output_bias": ["null", "zero"], "reg": ["l2", "none", "dropout"], "seed": [0, 7]},
    )  # fmt: skip
    assert len(jobs) == 324
    both = composition(["experiment=main"])
    for job, got in zip(jobs, both.fast(jobs), strict=True):
        want = both.hydras_own(job)
        assert got == want, job
        assert repr(got) == repr(want), job  # 1 is not 1.0 is not true


def test_a_few_odd_jobs_equal_hydras_own(composition):
    jobs = [
        ["optim.embed_lr=${optim.lr}", "optim.lr=0.5"],  # a value that follows another
        ["+data={fraction: 0.5}"],
        ["++seed=4"],
        ["~data.words"],
        ["+data.extra=1", "data.extra=2"],  # order matters
        ["init.bias=normal", "init=zero", "init.scheme=uniform"],
        ["data.split=[.7,.2,.1]", "data.path='a (1).txt'", "tracking.experiment=off"],
    ]
    both = composition([])
    assert [repr(c) for c in both.fast(jobs)] == [repr(both.hydras_own(job)) for job in jobs]


def test_jobs_of_an_experiment_equal_hydras_own(composition):
    jobs = [["experiment=smoke", "train.steps=3"], ["experiment=smoke", "loss=mse", "seed=1"]]
    both = composition(["experiment=smoke"])
    assert [repr(c) for c in both.fast(jobs)] == [repr(both.hydras_own(job)) for job in jobs]


def test_groups_are_composed_once_each(composition):
    """360 jobs of five losses cost five compositions, not 360."""
    both = composition(["experiment=main"])
    calls = []
    load = both.loader.load_sweep_config

    class Counting:
        def __getattr__(self, name):
            return getattr(both.loader, name)

        def load_sweep_config(self, master, overrides):
            calls.append(overrides)
            return load(master, overrides)

    jobs = grid(
        experiment=["main"],
        loss=["cross_entropy", "nll", "mse", "bce", "hinge"],
        **{"init.weight_scale": [0.1, 0.3, 1, 3], "init.bias": ["zero", "normal"],
           "reg.strength": [0, 3, 30], "seed": [0, 1, 2]},
    )  # fmt: skip
    assert len(compose_jobs(Counting(), both.master, jobs)) == 360
    assert len(calls) == 5


def test_jobs_share_what_none_of_them_sets_and_nothing_else(composition):
    """Ten thousand jobs hold a few groups between them; what one sets is its own."""
    jobs = [["init.weight_scale=3", "seed=0"], ["optim.lr=1"], ["model.hidden=[8]"]]
    first, second, third = composition([]).fast(jobs)
    assert first["train"] is second["train"] is third["train"]
    assert [one["init"]["weight_scale"] for one in (first, second, third)] == [3, 1.0, 1.0]
    assert [one["optim"]["lr"] for one in (first, second, third)] == [0.1, 1, 0.1]
    assert [one["model"]["hidden"] for one in (first, second, third)] == [[200], [200], [8]]


def test_a_key_that_does_not_exist_raises_hydras_error(composition):
    with pytest.raises(HydraException, match=r"optim\.lrr"):
        composition([]).fast([["seed=0"], ["optim.lrr=1"]])
