"""check(spec) finds nothing wrong with what is built in, and finds what is wrong elsewhere."""

import dataclasses
import re

import pytest
import torch

from harness.components import (
    LOSSES,
    REGISTRIES,
    ActivationSpec,
    BiasSpec,
    InitSpec,
    LossSpec,
    OptimizerSpec,
    PenaltySpec,
    ScheduleSpec,
    check,
    register,
)  # fmt: skip
from harness.components.biases import BiasLaw
from harness.components.losses import Constant
from harness.errors import ConfigError

CE = LOSSES.get("cross_entropy")


@pytest.mark.parametrize("name", LOSSES.built_in())
def test_every_built_in_loss_agrees_with_itself(name):
    assert check(LOSSES.get(name)) == []


def test_a_value_alone_is_enough():
    def focal(logits, target, smoothing=None, summed=False):
        own = logits.log_softmax(-1).gather(-1, target[..., None]).squeeze(-1)
        return -((1 - own.exp()) ** 2) * own

    found = check(LossSpec(value=focal, multiplier=lambda V, _s: 1.0))
    assert found == [
        "multiplier does not give the gradient at equal logits the size of cross-entropy's"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": lambda z, y, *_: CE.value(z, y).mean(-1)}, r"shape \(3,\) for 3 runs"),
        ({"value": lambda z, *_: z.sum(-1) * float("nan")}, "not finite for logits of ordinary"),
        ({"value": lambda z, y, *_: z.exp().sum(-1).log() - z.gather(-1, y[..., None])[..., 0],
          "smoothing": False}, "not finite for float32 logits of"),
        ({"gradient": lambda z, y, *_, out: out.zero_()}, "differs from autograd"),
        ({"gradient": lambda z, y, *_, out: torch.softmax(z, -1)}, "does not return `out`"),
        ({"expected": lambda *a, **k: 1.01 * CE.expected(*a, **k)}, "expected is .* draws give"),
        ({"spread": lambda *a: 2 * CE.spread(*a)}, "spread gives two examples"),
        ({"best_constant": lambda p, **_: Constant(9.0, "")}, "yet some constant logits cost"),
        ({"multiplier": lambda V, _s: 2.0}, "multiplier does not give"),
        ({"multiplier": lambda V, _s: 0.0}, "above 0"),
        ({"links": ("logit",)}, "known: softmax, clip, sigmoid"),
        ({"kind": "regression"}, "kind is 'regression'"),
        ({"per_class": True}, "not V times their mean"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(change, message):
    found = check(dataclasses.replace(CE, **change))
    assert len(found) >= 1
    assert any(re.search(message, text) for text in found), found


def test_a_likelihood_that_is_none_and_a_margin_that_differs():
    hinge = dataclasses.replace(LOSSES.get("hinge"), likelihood=True)
    assert any("no negative log likelihood" in text for text in check(hinge))
    margin = dataclasses.replace(LOSSES.get("max_margin"), of_margin=lambda t: t)
    assert any("of_margin differs" in text for text in check(margin))


def test_register_finds_the_kind_by_the_spec():
    with pytest.raises(ConfigError, match="'x' is of type int; allowed: LossSpec, InitSpec"):
        register("x", 3)
    with pytest.raises(ConfigError, match="'mse' is built in"):
        register("mse", CE)


PARTS = [
    (kind, name)
    for kind, registry in REGISTRIES.items()
    if kind not in ("losses", "metrics")
    for name in registry.built_in()
]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_other_built_in_component_agrees_with_itself(kind, name):
    assert check(REGISTRIES[kind].get(name)) == []


def normal(fan_in, fan_out, gain, rng):
    return rng.standard_normal((fan_in, fan_out))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (InitSpec(draw=lambda i, o, g, rng: rng.standard_normal((o, i))), "gives shapes"),
        (InitSpec(draw=normal, std=lambda i, o, g: 2.0), "std says 2; what is drawn"),
        (
            InitSpec(draw=normal, std=lambda i, o, g: 1.0, kurtosis=-1.2),
            "kurtosis is given as -1.2",
        ),
        (InitSpec(draw=normal, embedding_std=3.0), "embedding_std says 3"),
        (
            BiasSpec(draw=lambda n, s, rng, t: rng.normal(size=n), law=lambda s: BiasLaw()),
            "std is 0",
        ),
        (ActivationSpec(function=torch.tanh, array=lambda x: x), "array differs from function"),
        (
            ActivationSpec(function=torch.sin, backward=lambda d, pre, h: d.zero_()),
            "backward differs",
        ),
        (ScheduleSpec(factor=lambda step, steps: -1.0), "must be a number of 0 or more"),
        (PenaltySpec(value=lambda w: w.square().sum(), gradient=lambda w: w), "gradient differs"),
        (PenaltySpec(stage="constraint"), "lacks project"),
        (
            PenaltySpec(value=lambda w: w.sum(), keeps_zeros=True),
            "keeps_zeros is true, but parameters",
        ),
        (
            OptimizerSpec(step=lambda w, g, s, b, rate, t: w.add_(g * rate)),
            "do not descend into a quadratic",
        ),
        (
            OptimizerSpec(step=lambda w, g, s, b, rate, t: w.sub_(rate * g.mean(0, keepdim=True))),
            "beside other runs than alone",
        ),
    ],
)
def test_what_is_wrong_in_other_kinds_is_said(spec, message):
    assert any(re.search(message, text) for text in check(spec)), check(spec)
