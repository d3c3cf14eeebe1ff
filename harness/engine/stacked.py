"""The torch form of a chunk's step: every operation over all runs at once, run axis first.

It serves cards, machines without a compiler, and runs with a component that has no kernel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

# ruff: noqa: ARG002  (all runs move at every step: those that have ended have their weights kept)
import torch
from torch import Tensor

from harness.config.run import ResolvedRun
from harness.data.dataset import Dataset
from harness.engine.backend import Values
from harness.engine.batches import Batches
from harness.engine.diagnostics import StepDiagnostics
from harness.engine.evaluation import Evaluator
from harness.engine.initialization import batch_rows, initial_weights
from harness.engine.network import Network
from harness.engine.objectives import LossHeads
from harness.engine.passes import Pass
from harness.engine.updates import Updater

STEPS = 16  # a call: how often a chunk can ask whether to stop or to save


class Stacked:
    """The `Backend` in torch."""

    def __init__(self, runs: Sequence[ResolvedRun], data: Dataset) -> None:
        first = runs[0]
        self.runs, self.data = runs, data
        self.net = Network(
            [initial_weights(run, data) for run in runs], first.model.activation,
            getattr(torch, first.engine.dtype), torch.device(first.engine.device),
        )  # fmt: skip
        self.batch = Pass(self.net, batch_rows(first, data), data.block_size, backward=True)
        self.batches = Batches(runs, data, self.net)
        V, batch = 1 if data.kind == "binary" else data.V, self.batch
        z_KBV, d_KBV = batch.z_KBV[:, :, :V], batch.d_KBV[:, :, :V]
        self.heads = LossHeads(runs, z_KBV, d_KBV, batch.rows)
        self.updater = Updater(runs, self.net)
        self.penalty = self.updater.penalty
        self.load, self.weights = self.net.load, self.net.weights

    def stretch(self, step: int) -> int:
        """Up to the next step at which the chunk looks up."""
        return STEPS - step % STEPS

    def train(self, first: int, stop: int, places: Collection[int]) -> None:
        """Steps of every run, those that have ended too."""
        for step in range(first, stop):
            self.step(step)

    def observe(self, step: int, places: Collection[int]) -> list[Values]:
        """See StepDiagnostics."""
        watch = StepDiagnostics(self.net, self.batch, self.updater)
        self.step(step)
        return watch.read()

    def step(self, step: int) -> None:
        """One forward, backward and update of every run."""
        inputs, target_KB = self.batches.load(step)
        batch = self.batch
        if self.net.embedding is None:
            batch.x_KBI[:, :, : inputs.shape[2]].copy_(inputs)
        else:
            batch.load_codes(inputs)
        batch.set_dropout(self.batches.masks(step))
        if self.updater.rates_at(step):
            descent_K = self.updater.descent_scale()
            if descent_K is not None:
                self.heads.carry(descent_K)
        batch.forward(training=True)
        self.heads.gradient(target_KB)
        batch.backward()
        self.updater.apply(step, batch)

    def evaluations(self, names: Sequence[str]) -> Evaluator:
        """An evaluator of these splits."""
        return Evaluator(self.net, self.runs, self.data, names)

    def state(self) -> Mapping[str, Tensor]:
        """Parameters and what the optimizer keeps."""
        return {**self.net.tensors(), **self.updater.state}
