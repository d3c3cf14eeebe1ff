"""The code of a logged MLflow model: context strings in, next-symbol probabilities out.

Stands by itself: MLflow copies this file beside the weights and runs it wherever the model is
loaded, so it imports nothing of harness. It reads one safetensors file and unpickles nothing.

Axes: B contexts, T their length, V vocabulary.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from safetensors import safe_open
from torch import nn


class NextSymbol(PythonModel):
    """Column `context` (any text; its last T characters count) -> one column a symbol, rows sum 1.

    The empty context is a word's beginning and the first symbol, '.', its end; of a net on running
    text it is the text's beginning, and the first symbol nothing but padding in front.
    """

    def load_context(self, context: Any) -> None:
        """Read the weights and what they mean."""
        with safe_open(context.artifacts["weights"], framework="pt") as file:
            self.weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            note = json.loads(file.metadata()["harness"])
        self.symbols: list[str] = note["symbols"]
        self.block_size: int = note["block_size"]
        self.activation = getattr(nn, note["module"])()  # a class of torch.nn
        self.code = {symbol: code for code, symbol in enumerate(self.symbols)}

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Probabilities (B, V) of the symbol that follows each context."""
        del context, params
        rows = [self.encode(text) for text in model_input["context"]]
        codes_BT = torch.tensor(rows, dtype=torch.int64).reshape(-1, self.block_size)
        with torch.no_grad():
            p_BV = self.logits(codes_BT).double().softmax(-1).numpy()
        return pd.DataFrame(np.asarray(p_BV), columns=self.symbols)

    def encode(self, text: str) -> list[int]:
        """The text's last T characters as codes, padded in front with 0."""
        last = unicodedata.normalize("NFC", text).lstrip(self.symbols[0])[-self.block_size :]
        unknown = [
            symbol for symbol in last if symbol == self.symbols[0] or symbol not in self.code
        ]
        if unknown:
            raise MlflowException.invalid_parameter_value(
                f"context {text[-80:]!r} holds {unknown[0]!r}; allowed: the symbols "
                f"{''.join(self.symbols[1:])!r}, and {self.symbols[0]!r} in front as padding."
            )
        return [0] * (self.block_size - len(last)) + [self.code[symbol] for symbol in last]

    def logits(self, codes_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, V), in evaluation mode."""
        w, i = self.weights, 0
        h = w["embedding.weight"][codes_BT].flatten(1)
        while f"hidden.{i}.weight" in w:
            name = f"hidden.{i}"
            h = h @ w[f"{name}.weight"]
            if f"{name}.gamma" in w:
                gamma, beta = w[f"{name}.gamma"], w[f"{name}.beta"]
                mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
                h = nn.functional.batch_norm(h, mean, var, gamma, beta, eps=1e-5)
            else:
                h = h + w[f"{name}.bias"]
            h = self.activation(h)
            i += 1
        logits: torch.Tensor = h @ w["output.weight"] + w["output.bias"]
        return logits


set_model(NextSymbol())
