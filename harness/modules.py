"""A trained run as an ordinary torch.nn.Module, to take away.

Axes: B examples, T context, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config import RunConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "linear": nn.Identity,
}  # fmt: skip


class TrainedNet(nn.Module):
    """Symbol codes (B, T) int64 in, logits (B, V) out; dense inputs (B, 2) give one logit (B, 1).

    `symbols` is the vocabulary, code by code; `block_size` is T. Softmax of the logits gives the
    probabilities of the next symbol for every loss but raw mean squared error.
    """

    def __init__(
        self, config: RunConfig, weights: Mapping[str, Tensor], symbols: Sequence[str]
    ) -> None:
        super().__init__()
        self.symbols, self.block_size = tuple(symbols), config.data.block_size
        last = weights["output.weight"]
        self.embedding = None
        if "embedding.weight" in weights:
            rows, columns = weights["embedding.weight"].shape
            self.embedding = nn.Embedding(rows, columns, dtype=last.dtype)
        layers: list[nn.Module] = []
        while f"hidden.{len(layers)}.weight" in weights:
            name = f"hidden.{len(layers)}"
            fan_in, fan_out = weights[f"{name}.weight"].shape
            normed = f"{name}.gamma" in weights
            linear = nn.Linear(fan_in, fan_out, bias=not normed, dtype=last.dtype)
            norm = nn.BatchNorm1d(fan_out, eps=1e-5, momentum=1e-3, dtype=last.dtype)
            parts = [linear, *([norm] if normed else []), ACTIVATIONS[config.model.activation]()]
            layers.append(nn.Sequential(*parts))
        self.hidden = nn.ModuleList(layers)
        self.output = nn.Linear(last.shape[0], last.shape[1], dtype=last.dtype)
        self._load(weights)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the next symbol after each context."""
        h = x if self.embedding is None else self.embedding(x).flatten(1)
        for layer in self.hidden:
            h = layer(h)
        logits: Tensor = self.output(h)
        return logits

    @torch.no_grad()
    def _load(self, weights: Mapping[str, Tensor]) -> None:
        own = {"output.weight": self.output.weight, "output.bias": self.output.bias}
        if self.embedding is not None:
            own["embedding.weight"] = self.embedding.weight
        for i, layer in enumerate(self.hidden):
            state = dict(layer.named_parameters()) | dict(layer.named_buffers())
            own[f"hidden.{i}.weight"] = state["0.weight"]
            if "0.bias" in state:
                own[f"hidden.{i}.bias"] = state["0.bias"]
            else:
                own[f"hidden.{i}.gamma"] = state["1.weight"]
                own[f"hidden.{i}.beta"] = state["1.bias"]
                own[f"hidden.{i}.running_mean"] = state["1.running_mean"]
                own[f"hidden.{i}.running_var"] = state["1.running_var"]
        for name, tensor in own.items():
            linear = name.endswith(".weight") and not name.startswith("embedding")
            tensor.copy_(weights[name].T if linear else weights[name])  # nn.Linear keeps (O, I)


def module_of(
    config: RunConfig, weights: Mapping[str, Tensor], symbols: Sequence[str]
) -> TrainedNet:
    """The network of one run, in evaluation mode; HarnessError where its weights were dropped."""
    if not weights:
        raise HarnessError(
            "this run's weights are not kept any more; train it again with "
            "`harness reproduce RUN` or `harness train ... --again`."
        )
    return TrainedNet(config, weights, symbols)
