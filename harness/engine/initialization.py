"""Drawing a run's first parameters: named streams, explicit fan-in, one scale a knob.

Every tensor has its own stream (`init/hidden.0.weight`), drawn at unit scale and then multiplied,
so runs of one seed that differ in a scale start from the same draw, scaled.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.components.activations import ACTIVATIONS
from harness.config.run import Init, RunConfig
from harness.data.dataset import Dataset
from harness.numerics.randomness import stream

Array = npt.NDArray[np.float64]


def layer_sizes(run: RunConfig, data: Dataset) -> list[tuple[str, int, int]]:
    """(name, fan_in, fan_out) of every linear layer, input to output."""
    inputs = data.train.x.shape[1] if data.kind == "binary" else data.block_size * run.model.n_embd
    outputs = 1 if data.kind == "binary" else data.V
    widths = [inputs, *run.model.hidden, outputs]
    names = [f"hidden.{i}" for i in range(len(run.model.hidden))] + ["output"]
    return [(name, widths[i], widths[i + 1]) for i, name in enumerate(names)]


def layer_factor(init: Init, name: str) -> float:
    """The multiple of the scheme's standard deviation that one tensor gets."""
    if name == "embedding":
        return init.embed_scale * (init.weight_scale if init.scope in ("all", "embedding") else 1.0)
    if name == "output":
        reached = init.scope in ("linear", "all", "output")
        return init.output_scale * (init.weight_scale if reached else 1.0)
    return init.weight_scale if init.scope in ("linear", "all", "hidden") else 1.0


def initial_weights(run: RunConfig, data: Dataset) -> dict[str, Array]:
    """Every parameter of a run at step 0, float64; names and shapes as in `RunRecord.weights`.

    Kaiming: He et al. 2015, arXiv:1502.01852; Xavier: Glorot & Bengio 2010; orthogonal: Saxe et
    al. 2013, arXiv:1312.6120. The layout is (fan_in, fan_out), so no fan is ever guessed.
    """
    init = run.resolved().init
    seed = init.seed if init.seed is not None else run.seed
    phi = ACTIVATIONS.get(run.model.activation)
    out: dict[str, Array] = {}
    if data.kind != "binary":
        out["embedding.weight"] = layer_factor(init, "embedding") * _embedding(
            init.scheme, (data.V, run.model.n_embd), seed
        )
    for name, fan_in, fan_out in layer_sizes(run, data):
        last = name == "output"
        gain = 1.0 if last else phi.gain
        factor = layer_factor(init, name)
        draw = _linear(init.scheme, fan_in, fan_out, gain, seed, f"init/{name}.weight")
        out[f"{name}.weight"] = factor * draw
        if run.model.batch_norm and not last:
            out[f"{name}.gamma"] = np.ones(fan_out)
            out[f"{name}.beta"] = np.zeros(fan_out)
            out[f"{name}.running_mean"] = np.zeros(fan_out)
            out[f"{name}.running_var"] = np.ones(fan_out)
        else:
            kind = (init.output_bias or init.bias) if last else init.bias
            out[f"{name}.bias"] = _bias(kind, fan_out, init.bias_scale, seed, name, data)
    return out


def log_unigram(data: Dataset) -> Array:
    """ln p(symbol) from the training split alone, (V,); a symbol never seen there counts half once.

    With zero output weights the initial loss is then the unigram cross-entropy exactly.
    """
    floor = 0.5 / max(data.train.n, 1)
    return np.log(np.maximum(np.asarray(data.unigram, dtype=np.float64), floor))


def _embedding(scheme: str, shape: tuple[int, int], seed: int) -> Array:
    rng = stream(seed, "init/embedding.weight")
    if scheme == "zero":
        return np.zeros(shape)
    return rng.uniform(-1.0, 1.0, shape) if scheme == "uniform" else rng.standard_normal(shape)


def _linear(scheme: str, fan_in: int, fan_out: int, gain: float, seed: int, name: str) -> Array:
    rng, shape = stream(seed, name), (fan_in, fan_out)
    if scheme == "zero":
        return np.zeros(shape)
    if scheme == "uniform":
        return rng.uniform(-1.0, 1.0, shape)
    normal = rng.standard_normal(shape)
    if scheme == "normal":
        return normal
    if scheme == "kaiming":
        return normal * (gain / math.sqrt(fan_in))
    if scheme == "xavier":
        return normal * math.sqrt(2.0 / (fan_in + fan_out))
    return gain * _orthogonal(normal)


def _orthogonal(normal: Array) -> Array:
    """Semi-orthogonal matrix from a normal draw: Q of its QR, signs fixed so that Q is Haar."""
    tall = normal if normal.shape[0] >= normal.shape[1] else normal.T
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))
    return np.ascontiguousarray(q if normal.shape[0] >= normal.shape[1] else q.T)


def _bias(kind: str, size: int, scale: float, seed: int, layer: str, data: Dataset) -> Array:
    if kind == "log_unigram":
        return log_unigram(data)
    if kind == "zero":
        return np.zeros(size)
    if kind == "constant":
        return np.full(size, scale)
    rng = stream(seed, f"init/{layer}.bias")
    return scale * (rng.standard_normal(size) if kind == "normal" else rng.uniform(-1, 1, size))
