"""Every regularizer's gradient is that of its value; constraints and noise do what they say."""

import pytest
import torch

from harness.components.penalties import PENALTIES, PenaltySpec
from harness.config.groups import Data, Init, Model, Optim, Reg, Train
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.errors import ConfigError

W = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BY_STAGE = {stage: PENALTIES.having(stage=stage) for stage in
            ("gradient", "decoupled", "constraint", "activation", "none")}  # fmt: skip


def autograd(value, w):
    x = w.clone().requires_grad_()
    torch.stack([value(own) for own in x]).sum().backward()
    return x.grad


@pytest.mark.parametrize("name", BY_STAGE["gradient"])
def test_gradient_is_that_of_the_value(name):
    spec = PENALTIES.get(name)
    want = autograd(spec.value, W)
    if spec.shrink is not None:
        got = spec.shrink(W[0].numel()) * W
    else:
        got = spec.slope(W)
        blind = PenaltySpec(value=spec.value)
        assert torch.allclose(blind.slope(W), want, rtol=1e-14, atol=0)
    assert torch.allclose(got, want, rtol=1e-14, atol=0)


def test_what_is_no_part_of_the_objective_has_no_value():
    for stage in ("decoupled", "constraint", "activation", "none"):
        assert all(PENALTIES.get(name).value is None for name in BY_STAGE[stage])
    assert all(PENALTIES.get(name).shrink for name in BY_STAGE["decoupled"])
    assert all(PENALTIES.get(name).project for name in BY_STAGE["constraint"])
    assert all(PENALTIES.get(name).mask for name in BY_STAGE["activation"])
    assert len(BY_STAGE["none"]) == 1


def test_max_norm_scales_back_the_long_columns_alone():
    w = W.clone()
    PENALTIES.get("max_norm").project(w, torch.full((3, 1, 1), 2.0, dtype=w.dtype))
    before, after = W.norm(dim=1), w.norm(dim=1)
    assert (before > 2).any() and (before < 2).any()
    assert torch.allclose(after, before.clamp_max(2), rtol=1e-14)
    assert torch.equal(w[:, :, 0][before[:, 0] < 2], W[:, :, 0][before[:, 0] < 2])


def test_dropout_keeps_the_mean():
    u = torch.rand(2, 400, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = PENALTIES.get("dropout").mask(u, torch.tensor([0.0, 0.3], dtype=u.dtype)[:, None, None])
    assert bool((mask[0] == 1).all())
    assert mask[1].unique().tolist() == [0.0, pytest.approx(1 / 0.7, rel=1e-15)]
    n = mask[1].numel()
    assert abs(float(mask[1].mean()) - 1) < 5 * (0.3 / 0.7 / n) ** 0.5


@pytest.mark.parametrize(
    ("name", "strength"), [("none", 0.1), ("dropout", 1.0), ("l2", -1.0), ("l1", 1e7)]
)
def test_a_strength_out_of_range_is_refused(name, strength):
    with pytest.raises(ConfigError, match=r"reg\.strength is "):
        Reg(name=name, strength=strength)


def test_an_unknown_name_is_refused_at_the_lookup():
    with pytest.raises(ConfigError, match=r"'l22'.*Did you mean 'l2'"):
        PENALTIES.get("l22")


@pytest.fixture
def odd(monkeypatch):
    """Penalties with no gradient, with one that is not 0 at 0, a projection that divides by the
    norm (of padding, 0), and noise with no room for a strength of 0.
    """
    monkeypatch.setattr(PENALTIES, "_registered", {})
    PENALTIES.register("root", PenaltySpec(value=lambda w: w.square().sum().sqrt()))
    PENALTIES.register(
        "toward_one",
        PenaltySpec(value=lambda w: 0.5 * (w - 1).square().sum(), gradient=lambda w: w - 1),
    )
    PENALTIES.register(
        "unit",
        PenaltySpec(stage="constraint", linear_only=True,
                    project=lambda w, s: w.mul_(s / w.norm(dim=1, keepdim=True))),
    )  # fmt: skip
    PENALTIES.register(
        "noise", PenaltySpec(stage="activation", mask=lambda u, p: 1 + (u - 0.5) * (p / p))
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_penalties_of_a_users_own_touch_nobody_else(odd, optimizer):
    """Each run is what it is alone, to the last bit, with neighbours that would make NaN of it."""
    lr = 0.1 if optimizer == "sgd" else 0.01

    def run(name, strength, scope="weights", scheme="kaiming"):
        return RunConfig(
            data=Data(fraction=0.05), model=Model(n_embd=3, hidden=(10,)), seed=1,
            init=Init(scheme=scheme), reg=Reg(name=name, strength=strength, scope=scope),
            optim=Optim(name=optimizer, lr=lr), train=Train(steps=12, batch_size=8, eval_every=4),
        )  # fmt: skip

    runs = [
        run("none", 0.0, scheme="zero"), run("root", 0.01), run("toward_one", 0.01, "all"),
        run("unit", 1.5), run("noise", 0.5), run("l1", 0.001), run("dropout", 0.2),
        run("root", 0.0),
    ]  # fmt: skip
    together = train(runs)
    for one, got in zip(runs, together, strict=True):
        (alone,) = train([one])
        assert alone.run_id == got.run_id
        for name, w in alone.weights.items():
            assert torch.equal(w, got.weights[name]) and bool(w.isfinite().all()), (one.reg, name)
        assert ("penalty" in got.series) == (one.reg.name in ("root", "toward_one", "l1"))
    norms = together[3].weights["hidden.0.weight"].norm(dim=0)
    assert torch.allclose(norms, torch.full_like(norms, 1.5), rtol=1e-6)
