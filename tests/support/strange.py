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
