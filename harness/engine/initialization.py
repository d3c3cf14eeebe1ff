"""Drawing a run's first parameters: named streams, explicit fan-in, one scale a knob.

Every tensor has its own stream (`init/hidden.0.weight`), drawn at unit scale and then multiplied,
so runs of one seed that differ in a scale start from the same draw, scaled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES
from harness.config.groups import Init
from harness.config.run import ResolvedRun, RunConfig
from harness.data.dataset import Dataset
from harness.errors import ConfigError
from harness.numerics.randomness import stream

Array = npt.NDArray[np.float64]


def batch_rows(run: RunConfig, data: Dataset) -> int:
    """Examples a step: train.batch_size, or all."""
    size = run.train.batch_size
    return size if isinstance(size, int) else data.train.n


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


def initial_weights(run: ResolvedRun, data: Dataset) -> dict[str, Array]:
    """Every parameter of a run at step 0, float64; names and shapes as in `RunRecord.weights`.

    The layout is (fan_in, fan_out), so no fan is ever guessed.
    """
    init, seed = run.init, run.init.seed
    scheme, phi = init.spec, ACTIVATIONS.get(run.model.activation)
    out: dict[str, Array] = {}
    if data.kind != "binary":
        shape, rng = (data.V, run.model.n_embd), stream(seed, "init/embedding.weight")
        rows = _shaped(scheme.embedding(*shape, rng), shape, f"init.scheme={init.scheme}")
        out["embedding.weight"] = layer_factor(init, "embedding") * rows
    for name, fan_in, fan_out in layer_sizes(run, data):
        last = name == "output"
        gain = 1.0 if last else phi.gain
        drawn = scheme.draw(fan_in, fan_out, gain, stream(seed, f"init/{name}.weight"))
        drawn = _shaped(drawn, (fan_in, fan_out), f"init.scheme={init.scheme}")
        out[f"{name}.weight"] = layer_factor(init, name) * drawn
        if run.model.batch_norm and not last:
            out[f"{name}.gamma"] = np.ones(fan_out)
            out[f"{name}.beta"] = np.zeros(fan_out)
            out[f"{name}.running_mean"] = np.zeros(fan_out)
            out[f"{name}.running_var"] = np.ones(fan_out)
        else:
            kind = init.output_bias if last else init.bias
            rng = stream(seed, f"init/{name}.bias")
            drawn = BIASES.get(kind).draw(fan_out, init.bias_scale, rng, data.targets)
            out[f"{name}.bias"] = _shaped(drawn, (fan_out,), f"the bias {kind}")
    return out


def _shaped(drawn: Array, shape: tuple[int, ...], what: str) -> Array:
    """What a component drew; ConfigError where it has not the shape it was asked for."""
    if np.shape(drawn) != shape:
        raise ConfigError(
            f"{what} drew numbers of shape {np.shape(drawn)}; it was asked for {shape}."
        )
    return drawn
