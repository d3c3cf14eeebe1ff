"""Optimizers and schedules against torch.optim and by hand."""

import pytest
import torch

from harness.components.optimizers import OPTIMIZERS, OptimizerSpec
from harness.components.schedules import SCHEDULES
from harness.config.groups import Data, Model, Optim, Train
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.errors import ConfigError

TORCH = {
    "sgd": lambda p: torch.optim.SGD([p], lr=0.1),
    "momentum": lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.8),
    "adam": lambda p: torch.optim.Adam([p], lr=0.1),
    "adamw": lambda p: torch.optim.AdamW([p], lr=0.1, weight_decay=0.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_torchs(name):
    spec, g = OPTIMIZERS.get(name), torch.Generator().manual_seed(0)
    param = torch.randn(2, 5, 4, dtype=torch.float64, generator=g)
    oracle = param.clone().requires_grad_()
    reference = TORCH[name](oracle)
    state = [torch.zeros_like(param) for _ in range(spec.slots)]
    scratch = [torch.full_like(param, torch.nan) for _ in range(spec.buffers)]
    column = torch.ones(2, 1, 1, dtype=torch.float64)
    settings = {key: {"momentum": 0.8}[key] * column for key in spec.settings}
    for t in range(7):
        grad = torch.randn(param.shape, dtype=param.dtype, generator=g)
        oracle.grad = grad.clone()
        reference.step()
        spec.step(param, grad, state, scratch, 0.1 * column, t, **settings)
        assert torch.allclose(param, oracle.detach(), rtol=1e-12, atol=1e-12)


def test_schedules_by_hand():
    at = {name: Optim(schedule=name).factor for name in SCHEDULES}
    assert [at["step"](k, 10) for k in (0, 4, 5, 9)] == [1.0, 1.0, 0.1, 0.1]
    assert [at["step"](k, 3) for k in range(3)] == [1.0, 1.0, 0.1]  # half way is 1.5
    assert [at["constant"](k, 10) for k in (0, 9)] == [1.0, 1.0]
    assert at["cosine"](0, 10) == 1.0 and at["cosine"](5, 10) == 0.5
    assert at["cosine"](10, 10) == 0.0
    line = Optim(schedule="linear", schedule_factor=0.2).factor
    assert [line(k, 10) for k in (0, 5, 10)] == pytest.approx([1.0, 0.6, 0.2])
    late = Optim(schedule_at=0.14, schedule_factor=0.5)
    assert [late.factor(k, 50) for k in (6, 7)] == [1.0, 0.5]  # .14 of 50 is 7, not a trace more
    warm = Optim(schedule="constant", warmup=4)
    assert [warm.factor(k, 10) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(("registry", "name"), [(OPTIMIZERS, "adan"), (SCHEDULES, "cosin")])
def test_an_unknown_name_is_refused_at_the_lookup(registry, name):
    with pytest.raises(ConfigError, match="Did you mean"):
        registry.get(name)


def test_a_setting_that_is_not_read_is_refused():
    with pytest.raises(ConfigError, match=r"optim\.momentum is 0\.9.*optim=sgd.*optim=momentum"):
        Optim(momentum=0.9)
    with pytest.raises(ConfigError, match=r"optim\.schedule_at is 0\.7.*schedule=cosine"):
        Optim(schedule="cosine", schedule_at=0.7)


def test_an_optimizer_of_a_users_own(monkeypatch):
    """Signed momentum: fused runs that differ in rate and momentum are what they are alone."""
    monkeypatch.setattr(OPTIMIZERS, "_registered", {})

    def step(param, grad, state, scratch, rate, t, *, momentum):
        (m,) = state
        m.mul_(momentum).add_(grad)
        param.sub_(rate * m.sign())

    OPTIMIZERS.register("lion_cub", OptimizerSpec(step=step, slots=1, settings=("momentum",)))
    runs = [
        RunConfig(data=Data(fraction=0.05), model=Model(n_embd=3, hidden=(6,)), seed=2,
                  optim=Optim(name="lion_cub", lr=lr, momentum=m, embed_lr=0.001),
                  train=Train(steps=9, batch_size=8))
        for lr, m in [(0.01, 0.9), (0.003, 0.0), (0.01, 0.5)]
    ]  # fmt: skip
    for run, got in zip(runs, train(runs), strict=True):
        (alone,) = train([run])
        assert all(torch.equal(w, got.weights[n]) for n, w in alone.weights.items())
