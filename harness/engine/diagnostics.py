"""What goes on inside the layers: saturation, dead units, spreads, update-to-weight ratios.

Axes: K runs, C distinct contexts, O units. Saturated: as the activation says of itself, such as
|tanh| > .97, or a ReLU that is off. Dead: a unit saturated on every training context.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.engine.evaluation import Evaluator
from harness.engine.network import Network
from harness.engine.passes import Pass
from harness.engine.updates import Updater


def at_start(evaluator: Evaluator, split: str = "train") -> list[dict[str, float]]:
    """Per run: init/saturated, init/dead and init/act_std of every hidden layer, over a split."""
    net, pairs = evaluator.net, evaluator.set.splits[split]
    names = net.layer_names[:-1]
    out: list[dict[str, float]] = [{} for _ in range(net.K)]
    if not names:
        return out
    sums = [torch.zeros(net.K, 3, layer.fan_out, dtype=torch.float64) for layer in net.layers[:-1]]
    for start in range(0, evaluator.set.C, evaluator.tile.rows_):
        tile = evaluator.forward_tile(start)
        weight_C = pairs.count_C[start : start + tile.rows_].to(net.dtype)
        for i, layer in enumerate(net.layers[:-1]):
            h = tile.h[i][:, : len(weight_C), : layer.fan_out]
            flag = net.activation.flags(h, tile.pre[i][:, : len(weight_C), : layer.fan_out])
            for k in range(net.K):
                sums[i][k, 0] += (weight_C @ h[k]).cpu()
                sums[i][k, 1] += (weight_C @ h[k].square()).cpu()
                if flag is not None:
                    sums[i][k, 2] += (weight_C @ flag[k].to(net.dtype)).cpu()
    for i, name in enumerate(names):
        for k in range(net.K):
            mean_O, square_O, share_O = sums[i][k] / pairs.n
            spread = float(square_O.mean() - mean_O.mean() ** 2)
            out[k][f"init/act_std/{name}"] = max(spread, 0.0) ** 0.5
            if net.activation.saturated is not None:
                out[k][f"init/saturated/{name}"] = float(share_O.mean())
                out[k][f"init/dead/{name}"] = float((share_O > 1 - 1e-6).double().mean())
    return out


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
        out: list[dict[str, float]] = [{} for _ in range(net.K)]
        for name, value_K in columns.items():
            for k, value in enumerate(value_K.tolist()):
                if value == value and abs(value) != float("inf"):
                    out[k][name] = value
        return out
