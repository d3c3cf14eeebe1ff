"""A trained run as an ordinary torch.nn.Module, to take away.

Axes: B examples, T context, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.components.activations import ACTIVATIONS
from harness.errors import DataError, HarnessError
from harness.numerics.contexts import encode_contexts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.run import RunConfig


class TrainedNet(nn.Module):
    """Symbol codes (B, T) int64 in, logits (B, V) out; dense inputs (B, 2) give one logit (B, 1).

    `symbols` (V) is the vocabulary, code by code, the end mark '.' (or of running
    text the padding) first; `block_size` is T; `encode` makes
    contexts of text. Softmax of the logits is the distribution of the next symbol: it is what
    `nll/*` is measured on, for every loss. Built in evaluation mode, in the run's own precision;
    an ordinary module from there on: train it, move it, save its state_dict.
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
        phi = ACTIVATIONS.get(config.model.activation, "model.activation")
        layers: list[nn.Module] = []
        while f"hidden.{len(layers)}.weight" in weights:
            name = f"hidden.{len(layers)}"
            fan_in, fan_out = weights[f"{name}.weight"].shape
            normed = f"{name}.gamma" in weights
            linear = nn.Linear(fan_in, fan_out, bias=not normed, dtype=last.dtype)
            norm = nn.BatchNorm1d(fan_out, eps=1e-5, momentum=1e-3, dtype=last.dtype)
            parts = [linear, *([norm] if normed else []), phi.build()]
            layers.append(nn.Sequential(*parts))
        self.hidden = nn.ModuleList(layers)
        self.output = nn.Linear(last.shape[0], last.shape[1], dtype=last.dtype)
        self._load(weights)
        self.eval()

    def encode(self, text: str | Sequence[str]) -> Tensor:
        """Contexts (B, T) int64 of one text or of several: the last T characters of each.

        Shorter texts are padded in front with symbols[0]. DataError on a symbol that is not
        in the vocabulary, and for a net of dense inputs, which has none.
        """
        if not self.symbols:
            raise DataError("this net takes points (B, 2), not text; call it with a tensor.")
        texts = [text] if isinstance(text, str) else list(text)
        return torch.from_numpy(encode_contexts(texts, self.symbols, self.block_size))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, V) of the next symbol after each context (B, T)."""
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
