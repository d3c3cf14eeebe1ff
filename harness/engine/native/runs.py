"""A chunk's runs as the kernels see them: blocks of parameters, tables, one structure a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from ctypes import byref

import numpy as np
import torch
from torch import Tensor

from harness.components.losses import LINKS
from harness.components.penalties import PENALTIES
from harness.config.run import ResolvedRun
from harness.data.dataset import Dataset
from harness.engine.initialization import batch_rows, initial_weights
from harness.engine.kernel import code, loss_code
from harness.engine.native.bindings import Run, aligned, kernels
from harness.engine.native.layout import Layout, pointer
from harness.engine.objectives import gradient_scale
from harness.engine.updates import penalty_value, reached


class Runs:
    """K runs of one shape. `structs[k]` is what the kernels are handed of run k.

    foreign: places of the runs whose loss has no kernel. Runs share one set of buffers, for they
    take their steps one after another; each foreign one has its own, for torch to work on.
    """

    def __init__(self, runs: Sequence[ResolvedRun], data: Dataset) -> None:
        self.runs, self.data, first = runs, data, runs[0]
        self.K, self.B, self.binary = len(runs), batch_rows(first, data), data.kind == "binary"
        weights = [initial_weights(run, data) for run in runs]
        self.layout = Layout(
            first, self.B, {name: array.shape for name, array in weights[0].items()},
            1 if self.binary else data.V, data.block_size,
        )  # fmt: skip
        self.program, self.C = self.layout.program, kernels(first.engine.dtype)
        self.blocks = self.layout.blocks(self.K, self.layout.size)
        self.slots = [
            self.layout.blocks(self.K, self.layout.trained) for _ in range(first.optim.spec.slots)
        ]
        self.parameters = {name: self.layout.view(self.blocks, name) for name in weights[0]}
        for k, run in enumerate(weights):
            self.load(k, {name: torch.from_numpy(array) for name, array in run.items()})
        self.foreign = [k for k, run in enumerate(runs) if loss_code(run) is None]
        size = int(self.C.harness_bytes(byref(self.program), self.B, 1))
        self.memory = aligned((max(1, len(self.foreign)), size), "uint8")
        kind = self.layout.dtype if self.binary else "int32"
        self.inputs = np.ascontiguousarray(data.train.x, kind)
        self.targets = np.ascontiguousarray(data.train.y, np.int32)
        regs = [run.reg for run in runs]
        self.drops = [reg.strength if reg.spec.stage == "activation" else 0.0 for reg in regs]
        self.penalties = np.array(
            [[self._penalty(run, name) for name in self.layout.segments] for run in runs]
        )
        self.structs = (Run * self.K)(*[self._run(k) for k in range(self.K)])

    def _penalty(self, run: ResolvedRun, name: str) -> tuple[float, float, float, float]:
        """As in update.h, for one parameter: square, absolute, decay, most."""
        spec, strength = run.reg.spec, run.reg.strength if reached(run, name) else 0.0
        times = strength * spec.shrink(math.prod(self.layout.shapes[name])) if spec.shrink else 0.0
        number = code(PENALTIES, run.reg.name)
        return (
            times if spec.stage == "gradient" else 0.0,
            strength if number == 1 else 0.0,
            times if spec.stage == "decoupled" else 0.0,
            strength if number == 2 else 0.0,
        )

    def _run(self, k: int) -> Run:
        run, loss = self.runs[k], self.runs[k].loss
        slots = [pointer(slot[k]) for slot in self.slots] + [None, None]
        V = self.data.V
        return Run(
            block=pointer(self.blocks[k]), slot0=slots[0], slot1=slots[1],
            buffers=pointer(self.memory[self.foreign.index(k) if k in self.foreign else 0]),
            loss=loss_code(run) or 0,
            smoothing=loss.label_smoothing, momentum=run.optim.momentum,
            share=1.0 if loss.reduction == "sum" or not loss.spec.per_class else 1 / V,
            scale=gradient_scale(loss, V, self.B), keep=1 / (1 - self.drops[k]),
            drop_below=math.ceil(self.drops[k] * 2**16), table=pointer(self.inputs),
            targets=pointer(self.targets), penalties=pointer(self.penalties[k]),
            links=sum(1 << LINKS.index(link) for link in loss.spec.links),
        )  # fmt: skip

    def penalty(self, k: int) -> float:
        """The penalty in run k's objective at its present weights, float64."""
        return penalty_value(self.runs[k], {n: t[k] for n, t in self.parameters.items()})

    def state(self) -> Mapping[str, Tensor]:
        """The blocks of parameters, and what the optimizer keeps beside them."""
        return {"block": self.blocks, **{f"slot{i}": slot for i, slot in enumerate(self.slots)}}

    def load(self, k: int, weights: Mapping[str, Tensor]) -> None:
        """Put one run's parameters into place k."""
        for name, stored in self.parameters.items():
            stored[k].copy_(weights[name])

    def weights(self, k: int) -> dict[str, Tensor]:
        """Copies of one run's parameters."""
        return {
            n: t[k].clone(memory_format=torch.contiguous_format) for n, t in self.parameters.items()
        }
