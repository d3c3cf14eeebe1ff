"""What goes on inside the layers: saturation, dead units, spreads, update-to-weight ratios.

Axes: K runs, C distinct contexts, O units. Saturated: as the activation says of itself, such as
|tanh| > .97, or a ReLU that is off. Dead: a unit saturated on every training context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.components.activations import ActivationSpec
from harness.engine.network import Network
from harness.engine.passes import Pass
from harness.engine.updates import Updater

Array = npt.NDArray[np.float64]


def unit_metrics(
    layers: Sequence[str], activation: ActivationSpec, sums: Sequence[Array], n: int
) -> dict[str, float]:
    """init/saturated, init/dead and init/act_std of one run's hidden layers, over n examples.

    sums: for each layer, (3, O) over the examples: of h, of h^2, and how often it was saturated.
    """
    out: dict[str, float] = {}
    for name, sums_3O in zip(layers, sums, strict=True):
        mean_O, square_O, share_O = sums_3O / n
        spread = float(square_O.mean() - mean_O.mean() ** 2)
        out[f"init/act_std/{name}"] = max(spread, 0.0) ** 0.5
        if activation.saturated is not None:
            out[f"init/saturated/{name}"] = float(share_O.mean())
            out[f"init/dead/{name}"] = float((share_O > 1 - 1e-6).mean())
    return out


def by_run(columns: Mapping[str, Sequence[float]], K: int) -> list[dict[str, float]]:
    """Columns over K runs as one row a run, without what is not finite."""
    return [
        {name: column[k] for name, column in columns.items() if math.isfinite(column[k])}
        for k in range(K)
    ]


def _std(x_K: Tensor, names_rows: int, width: int) -> Tensor:
    """Standard deviation of each run's real block, (K,) float64."""
    real = x_K[:, :names_rows, :width]
    n = real.shape[1] * real.shape[2]
    mean = real.sum((1, 2)).double() / n
    square = torch.linalg.vector_norm(real, dim=(1, 2)).double().square() / n
    return (square - mean.square()).clamp_min(0).sqrt()


class StepDiagnostics:
    """Around one training step: activation and gradient spread, and how far the weights moved."""

    def __init__(self, net: Network, batch: Pass, updater: Updater) -> None:
        self.net, self.batch, self.updater = net, batch, updater
        self.before = {n: t.clone() for n, t in self._matrices().items()}

    def _matrices(self) -> Mapping[str, Tensor]:
        return {
            n: self.net.real(n, t) for n, t in self.net.tensors().items() if n.endswith(".weight")
        }

    def read(self) -> list[dict[str, float]]:
        """Per run, after the step: act/std, act/saturated, grad/std and grad/update_ratio a layer.

        grad/std is that of the whole objective, penalty included, on this step's batch;
        update_ratio is log10(std of the update / std of the weights), where about -3 is healthy.
        """
        net, batch = self.net, self.batch
        columns: dict[str, Tensor] = {}
        for i, name in enumerate(net.layer_names[:-1]):
            layer = net.layers[i]
            h = batch.h[i][:, : batch.rows, : layer.fan_out]
            columns[f"act/std/{name}"] = _std(batch.h[i], batch.rows, layer.fan_out)
            flag = net.activation.flags(h, batch.pre[i][:, : batch.rows, : layer.fan_out])
            if flag is not None:
                columns[f"act/saturated/{name}"] = flag.sum((1, 2)).double() / flag[0].numel()
        columns["act/std/output"] = _std(batch.z_KBV, batch.rows, net.layers[-1].fan_out)
        for name, now in self._matrices().items():
            short = name.removesuffix(".weight")
            size = now.shape[1:]
            moved = _std(now - self.before[name], *size)
            if self.updater.in_place:  # plain SGD stores no gradient: its step is the gradient
                columns[f"grad/std/{short}"] = moved / self.updater.rate(name).double()
            else:
                columns[f"grad/std/{short}"] = _std(net.gradients()[name], *size)
            columns[f"grad/update_ratio/{short}"] = torch.log10(moved / _std(now, *size))
        return by_run({name: value_K.tolist() for name, value_K in columns.items()}, net.K)
