"""Components that harness does not know, as a user's own package would bring them."""

FOCAL = '''
"""Focal loss (Lin et al. 2017, arXiv:1708.02002) with its exponent as a setting of its own."""

import torch

from harness.components import LossSpec, Param


def value(logits, target, smoothing=None, summed=False, *, gamma):
    logp = logits.log_softmax(-1).gather(-1, target[..., None]).squeeze(-1)
    return -((1 - logp.exp()) ** gamma) * logp


SPEC = LossSpec(
    value=value,
    multiplier=lambda V, summed, *, gamma: 1.0,
    unit="nats/char",
    label="focal loss",
    summary="cross-entropy that fades as the target grows likely",
    params={"gamma": Param(default=2.0, low=0.0, high=10.0, help="0 is cross-entropy")},
)
'''

LOPSIDED = '''
"""Normal weights of which every other input gets ten times less."""

import numpy as np

from harness.components import InitSpec


def draw(fan_in, fan_out, gain, rng):
    w = rng.standard_normal((fan_in, fan_out)) * gain / fan_in**0.5
    w[::2] *= 0.1
    return w


SPEC = InitSpec(draw=draw, summary="every other input ten times weaker")
'''

# one of each other kind, in one module; every one has something that no built-in one has
OTHERS = """
import numpy as np
import torch

from harness.components import (
    ActivationSpec, BiasSpec, MetricSpec, OptimizerSpec, Param, PenaltySpec, ScheduleSpec,
    SourceSpec,
)
from harness.components.sources import Words


def alternate(size, scale, rng, targets):
    return scale * (-1.0) ** np.arange(size)


def huber(w, *, delta):
    return torch.nn.functional.huber_loss(w, torch.zeros_like(w), reduction="sum", delta=delta)


def sign_step(w, grad, state, scratch, rate, t, *, floor):
    w.sub_(rate * torch.where(grad.abs() > floor, grad.sign(), grad))


ALTERNATE = BiasSpec(draw=alternate, summary="plus and minus the scale in turn")
HUBER = PenaltySpec(
    value=huber, params={"delta": Param(default=0.5, above=0.0)},
    strength=Param(default=0.02, low=0.0), summary="squares near 0, sizes beyond",
)
SIGN = OptimizerSpec(
    step=sign_step, lr=0.004, params={"floor": Param(default=1e-9, low=0.0)},
    summary="a step of the rate against each gradient's sign",
)
FADE = ScheduleSpec(factor=lambda step, steps: 1 - step / steps, summary="to 0 in a straight line")
SINE = ActivationSpec(function=torch.sin, gain=1.2, summary="sin x")


def echoes(settings):
    rng = np.random.default_rng(settings.source_seed)
    halves = ["".join(rng.choice(list("xyz"), 3)) for _ in range(settings.words)]
    return Words(words=tuple(half + half for half in halves))


def worst(logits, target, weight):
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(-logp[np.arange(len(target)), target].min())


ECHO = SourceSpec(
    load=echoes, unique_words=False, reads=("words", "source_seed"), unit="nats/letter",
    summary="three letters, said twice",
)
WORST = MetricSpec(
    value=worst, kind="classes", unit="nats", better="lower", label="least expected", live=True,
    summary="cost of the least expected target",
)
"""
OTHER_ENTRIES = {
    "harness.biases:alternate": "my_components.others:ALTERNATE",
    "harness.penalties:huber": "my_components.others:HUBER",
    "harness.optimizers:sign": "my_components.others:SIGN",
    "harness.schedules:fade": "my_components.others:FADE",
    "harness.activations:sine": "my_components.others:SINE",
    "harness.sources:echo": "my_components.others:ECHO",
    "harness.metrics:worst": "my_components.others:WORST",
}
