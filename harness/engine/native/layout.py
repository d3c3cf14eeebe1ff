"""Where each parameter of a run is in the one block of numbers that the kernels work on.

Rows of matrices are padded with zeros to whole lines of 64 bytes. Weights of the first layer are
kept (O, I), those of the others (I, O): see network.h.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.components.activations import ACTIVATIONS
from harness.config.run import ResolvedRun
from harness.engine.native.bindings import Program, aligned
from harness.engine.rates import rate_factor

LINE = 64  # bytes


class Layout:
    """Offsets of a network's parameters, and the `Program` that tells the kernels of them.

    shapes: of each parameter by the names of `RunRecord.weights`, input to output.
    """

    def __init__(
        self, run: ResolvedRun, batch: int, shapes: Mapping[str, Sequence[int]], V: int,
        context: int,
    ) -> None:  # fmt: skip
        self.shapes = shapes
        self.dtype = run.engine.dtype
        self.line = LINE // np.dtype(self.dtype).itemsize
        names = [n.removesuffix(".weight") for n in shapes if n.endswith(".weight")]
        self.layers = [n for n in names if n != "embedding"]
        self.first = f"{self.layers[0]}.weight"
        trained = [name for name in shapes if "running" not in name]
        self.segments = trained  # the embedding, where there is one, is the first
        kept = [name for name in shapes if "running" in name]
        sizes = [self.rows(name) * self.wide(name) for name in (*trained, *kept)]
        ends = list(itertools.accumulate(sizes))
        self.offset = dict(zip((*trained, *kept), [0, *ends[:-1]], strict=True))
        self.size, self.trained = ends[-1], ends[len(trained) - 1]
        self.program = self._program(run, batch, V, context)

    def rows(self, name: str) -> int:
        """Rows of a parameter's padded matrix; 1 for a vector."""
        shape = self.shapes[name]
        return 1 if len(shape) == 1 else shape[1] if name == self.first else shape[0]

    def wide(self, name: str) -> int:
        """Numbers in a padded row."""
        shape = self.shapes[name]
        width = shape[0] if name == self.first else shape[-1]
        return -(-width // self.line) * self.line

    def _program(self, run: ResolvedRun, batch: int, V: int, context: int) -> Program:
        embedded = "embedding.weight" in self.shapes
        optimizer = run.optim.spec
        made = Program(
            rows=batch,
            context=context,
            embed=self.shapes["embedding.weight"][1] if embedded else 0,
            symbols=V,
            layers=len(self.layers),
            segments=len(self.segments),
            activation=ACTIVATIONS.get(run.model.activation).kernel,
            optimizer=optimizer.kernel,
            trained=self.trained,
            size=self.size,
        )
        made.optimizer_settings[: len(optimizer.constants)] = optimizer.constants
        for i, name in enumerate(self.layers):
            layer = made.layer[i]
            layer.inputs, layer.outputs = self.shapes[f"{name}.weight"]
            parts = ("weight", "bias", "gamma", "beta", "running_mean", "running_var")
            fields = ("weight", "bias", "gamma", "beta", "mean", "variance")
            for field, part in zip(fields, parts, strict=True):
                setattr(layer, field, self.offset.get(f"{name}.{part}", -1))
        for i, name in enumerate(self.segments):
            made.segment[i].offset = self.offset[name]
            made.segment[i].size = self.rows(name) * self.wide(name)
            made.segment[i].embedded = name == "embedding.weight"
            made.segment[i].times = rate_factor(run, name)
        return made

    def blocks(self, K: int, size: int) -> Tensor:
        """Zeros (K, size) on lines of their own."""
        return torch.from_numpy(aligned((K, size), self.dtype))

    def view(self, blocks: Tensor, name: str) -> Tensor:
        """One parameter of each run's block, (K, ...) in its real shape."""
        shape, offset = self.shapes[name], self.offset[name]
        rows, wide = self.rows(name), self.wide(name)
        stored = blocks[:, offset : offset + rows * wide].view(-1, rows, wide)
        if len(shape) == 1:
            return stored[:, 0, : shape[0]]
        if name == self.first:
            return stored[:, :, : shape[0]].transpose(1, 2)
        return stored[:, :, : shape[1]]


def pointer(array: npt.NDArray[Any] | Tensor | None) -> int | None:
    """The address of an array's first number; None for none."""
    if array is None:
        return None
    return array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data
