"""An independent network in plain numpy: drawn, run forward and measured, with no harness code.

It reads a config's settings and shares nothing else with the theory it judges or the engine.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erf, log_softmax, softmax

GAIN = {"tanh": 5 / 3, "relu": 2**0.5, "gelu": 2**0.5, "linear": 1.0}


def draw_linear(rng, scheme, fan_in, fan_out, gain):
    if scheme == "zero":
        return np.zeros((fan_in, fan_out))
    if scheme == "uniform":
        return rng.uniform(-1, 1, (fan_in, fan_out))
    w = rng.normal(size=(fan_in, fan_out))
    if scheme == "kaiming":
        return w * gain / math.sqrt(fan_in)
    if scheme == "xavier":
        return w * math.sqrt(2 / (fan_in + fan_out))
    if scheme == "orthogonal":
        u, _, v = np.linalg.svd(w, full_matrices=False)
        return gain * (u @ v)
    return w


def draw_bias(rng, kind, size, scale, frequencies, n):
    if kind == "log_unigram":
        return np.log(np.maximum(frequencies, 0.5 / n))
    if kind == "zero":
        return np.zeros(size)
    if kind == "constant":
        return np.full(size, scale)
    return scale * (rng.normal(size=size) if kind == "normal" else rng.uniform(-1, 1, size))


def act(kind, h):
    if kind == "tanh":
        return np.tanh(h)
    if kind == "relu":
        return h * (h > 0)
    return 0.5 * h * (1 + erf(h / math.sqrt(2))) if kind == "gelu" else h


def draw_logits(run, data, rng, broken=""):
    """Logits of every distinct context (C, V) of one drawn network; `broken` spoils one thing."""
    init, model, train = run.init, run.model, data.train
    g = init.weight_scale
    where = {
        "linear": ("hidden", "output"),
        "all": ("embedding", "hidden", "output"),
    }.get(init.scope, (init.scope,))
    if data.kind == "binary":
        x, outputs = np.asarray(train.contexts_CT, float), 1
    else:
        outputs = data.V
        table = rng.normal(size=(data.V, model.n_embd))
        if init.scheme == "uniform":
            table = rng.uniform(-1, 1, size=(data.V, model.n_embd))
        if init.scheme == "zero":
            table = np.zeros((data.V, model.n_embd))
        table = table * init.embed_scale * (g if "embedding" in where else 1)
        x = table[train.contexts_CT].reshape(len(train.contexts_CT), -1)
    for width in model.hidden:
        w = draw_linear(rng, init.scheme, x.shape[1], width, GAIN[model.activation])
        w = w * (g if "hidden" in where else 1)
        if broken == "fan":  # divided by sqrt(fan_out) instead of sqrt(fan_in)
            w = w * math.sqrt(x.shape[1] / width)
        b = draw_bias(rng, init.bias, width, init.bias_scale, None, 0)
        if model.batch_norm:
            b = 0
        x = act(model.activation, x @ w + b)
    w = draw_linear(rng, init.scheme, x.shape[1], outputs, 1.0)
    w = w * (g if "output" in where else 1)
    if broken != "output":  # the last layer's own scale forgotten
        w = w * init.output_scale
    kind = init.output_bias or init.bias
    b = draw_bias(rng, kind, outputs, init.bias_scale, data.unigram, train.n)
    if broken == "bias":
        b = 2 * b
    return x @ w + b


def measure(logits, run, data):
    """Loss of a whole training split, by the textbook formula of each loss."""
    loss, train = run.loss, data.train
    z = logits[train.pair_context_P]
    y = train.pair_target_P
    weight = train.pair_count_P / train.pair_count_P.sum()
    rows = np.arange(len(y))
    if data.kind == "binary":
        m = y * z[:, 0]
        each = {
            "squared_error": (z[:, 0] - y) ** 2,
            "binary_cross_entropy": np.logaddexp(0, -m),
            "max_margin": np.maximum(0, 1 - m),
        }[loss.name]
        return float(weight @ each)
    V, a = z.shape[1], loss.label_smoothing
    t = np.full(z.shape, a / V)
    t[rows, y] += 1 - a
    own = z[rows, y]
    if loss.name in ("cross_entropy", "nll"):
        each = -(t * log_softmax(z, axis=1)).sum(1)
    elif loss.name == "mse":
        each = ((z - t) ** 2).sum(1)
    elif loss.name == "brier":
        each = ((softmax(z, axis=1) - t) ** 2).sum(1)
    elif loss.name == "bce":
        each = (t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)).sum(1)
    elif loss.name == "hinge":
        margins = np.maximum(0, 1 + z - own[:, None])
        margins[rows, y] = 0
        each = margins.sum(1)
    else:
        rivals = z.copy()
        rivals[rows, y] = -np.inf
        each = np.maximum(0, 1 + rivals.max(1) - own)
    if loss.name in ("mse", "brier", "bce", "hinge") and loss.reduction == "mean":
        each = each / V
    return float(weight @ each)
