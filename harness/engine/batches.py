"""Which examples each step sees, and which units dropout keeps: drawn in blocks, keyed by name.

A block of BLOCK steps is one stream (`batches/12`), so any stretch of a run can be drawn again on
its own, and runs of one batch seed see the same examples and the same dropout draws.
Axes: K runs, S distinct batch seeds, B examples, T context, O units.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.components.penalties import PenaltySpec
from harness.config.run import ResolvedRun
from harness.data.dataset import Dataset
from harness.engine.initialization import batch_rows
from harness.engine.network import Network, padded
from harness.engine.passes import ROWS
from harness.numerics.randomness import stream

BLOCK = 128  # steps a stream; part of the numerics


def draw_examples(seed: int, block: int, n: int, B: int | str) -> npt.NDArray[np.int64]:
    """Example numbers (BLOCK, B) out of n, drawn with replacement.

    With B "full" (1, n): all of them in order, one row for every step of the block.
    """
    if not isinstance(B, int):
        return np.arange(n)[None]
    return stream(seed, f"batches/{block}").integers(0, n, (BLOCK, B))


def draw_bits(
    seed: int, name: str, layer: int, block: int, B: int, width: int
) -> npt.NDArray[np.uint16]:
    """16 random bits for each hidden unit of a layer, (BLOCK, width, B): uniform times 2^16."""
    count = BLOCK * width * B
    raw = stream(seed, f"{name}/{layer}/{block}").bit_generator.random_raw(-(-count // 4))
    return raw.astype("<u8").view("<u2")[:count].reshape(BLOCK, width, B)


class Batches:
    """The batches of one chunk: `load(step)` hands back inputs and targets of that step."""

    def __init__(self, runs: Sequence[ResolvedRun], data: Dataset, net: Network) -> None:
        self.data, self.net = data, net
        seeds = [run.train.batch_seed for run in runs]
        self.seeds = list(dict.fromkeys(seeds))
        self.slot_K = torch.tensor([self.seeds.index(s) for s in seeds], device=net.device)
        self.given, self.B = runs[0].train.batch_size, batch_rows(runs[0], data)
        self.rows = padded(self.B, ROWS)
        self.noises = noises_of(runs, net)
        self.block = -1
        self.inputs = torch.empty(0)
        self.targets = torch.empty(0)
        self.uniform: dict[tuple[str, int], Tensor] = {}
        if net.embedding is not None:
            offset = torch.arange(net.K, device=net.device) * net.embedding.shape[1]
            self.offset_K11 = offset[:, None, None]

    def _draw(self, block: int) -> None:
        self.block = block
        device, binary = self.net.device, self.net.embedding is None
        x, y = self.data.train.x, self.data.train.y
        n = self.data.train.n
        index_SNB = np.stack([draw_examples(seed, block, n, self.given) for seed in self.seeds])
        wide = (*index_SNB.shape[:2], self.rows)
        inputs = np.zeros((*wide, x.shape[1]), dtype=np.float32 if binary else np.int64)
        inputs[:, :, : self.B] = x[index_SNB]
        targets = np.zeros(wide, dtype=np.int64)
        targets[:, :, : self.B] = y[index_SNB]
        self.inputs = torch.from_numpy(inputs).to(device)
        self.targets = torch.from_numpy(targets).to(device)
        names = dict.fromkeys(noise.name for noise in self.noises)
        for name, (i, layer) in itertools.product(names, enumerate(self.net.layers[:-1])):
            bits = [draw_bits(s, name, i, block, self.B, layer.fan_out) for s in self.seeds]
            uniform_SNBO = torch.from_numpy(np.stack(bits).astype(np.float32) / 2**16).mT
            self.uniform[name, i] = uniform_SNBO.to(device)

    def load(self, step: int) -> tuple[Tensor, Tensor]:
        """(inputs, targets) of one step: codes offset by k * V (K, B_, T), or dense (K, B_, I);
        targets (K, B_). Padded rows hold zeros.
        """
        block, place = divmod(step, BLOCK)
        if block != self.block:
            self._draw(block)
        place %= self.targets.shape[1]  # one row may serve every step
        inputs = self.inputs[:, place].index_select(0, self.slot_K)
        if self.net.embedding is not None:
            inputs.add_(self.offset_K11)
        return inputs, self.targets[:, place].index_select(0, self.slot_K)

    def masks(self, step: int) -> list[Tensor] | None:
        """Multipliers of hidden units, (K, B_, O_) a layer, such as dropout's; None: all are 1."""
        if not self.noises or len(self.net.layers) < 2:
            return None
        place, net = step % BLOCK, self.net
        out = []
        for i, layer in enumerate(net.layers[:-1]):
            wide = (net.K, self.rows, layer.weight.shape[2])
            mask = torch.ones(wide, dtype=net.dtype, device=net.device)
            real = mask[:, : self.B, : layer.fan_out]
            for noise in self.noises:
                assert noise.spec.mask is not None
                slot_R = self.slot_K[noise.rows_R]
                drawn = self.uniform[noise.name, i][:, place].index_select(0, slot_R)
                real[noise.rows_R] *= noise.spec.mask(drawn.to(net.dtype), noise.p_R11)
            out.append(mask)
        return out


class Noise(NamedTuple):
    """A regularizer that multiplies activations, and the runs of a chunk that have it."""

    name: str  # of its stream
    spec: PenaltySpec
    rows_R: Tensor
    p_R11: Tensor  # their strengths


def noises_of(runs: Sequence[ResolvedRun], net: Network) -> list[Noise]:
    """The regularizers that multiply activations, with the runs that have them."""
    out = []
    asked = [(k, run.reg) for k, run in enumerate(runs) if run.reg.strength > 0]
    for spec, name in {reg.spec: reg.name for _, reg in asked}.items():
        if spec.stage == "activation":
            own = [(k, reg.strength) for k, reg in asked if reg.spec is spec]
            rows_R = torch.tensor([k for k, _ in own], device=net.device)
            p_R = torch.tensor([strength for _, strength in own], dtype=net.dtype)
            out.append(Noise(name, spec, rows_R, p_R.to(net.device)[:, None, None]))
    return out
