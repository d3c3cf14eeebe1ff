"""The native form of a chunk's steps: one run after another, many steps a call (kernels.cpp).

A loss without a kernel takes its gradient from torch on the logits, all such runs of a step at
once; everything else of such a step is native too.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Collection, Sequence
from ctypes import byref

import numpy as np
import numpy.typing as npt
import torch

from harness.components.activations import ACTIVATIONS
from harness.config.run import ResolvedRun
from harness.data.dataset import Dataset
from harness.engine.backend import Values
from harness.engine.batches import BLOCK, draw_bits, draw_examples
from harness.engine.diagnostics import by_run
from harness.engine.native.bindings import BACKWARD, FORWARD, Run
from harness.engine.native.evaluation import NativeEvaluations
from harness.engine.native.layout import pointer
from harness.engine.native.runs import Runs
from harness.engine.objectives import LossHeads

WORK = 4e9  # multiplications a call at most, a tenth of a second or so: a chunk must hear a stop


def spread(
    total: npt.NDArray[np.float64], square: npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.float64]:
    """Standard deviations of n numbers each, from their sums and sums of squares."""
    return np.sqrt(np.maximum(square / n - (total / n) ** 2, 0.0))


class Native(Runs):
    """The `Backend` in C++."""

    def __init__(self, runs: Sequence[ResolvedRun], data: Dataset) -> None:
        super().__init__(runs, data)
        self.steps, self.block = runs[0].train.steps, -1  # of batches: which one is drawn
        self.given = runs[0].train.batch_size
        self.seeds = [run.train.batch_seed for run in runs]
        self.lr = np.array([[run.optim.lr, run.optim.embed_lr] for run in runs])
        self.schedules = [  # runs that differ in rates alone share one
            dataclasses.replace(run.optim, lr=1.0, embed_lr=1.0, momentum=0.0) for run in runs
        ]
        if self.foreign:
            self.heads = self._heads()

    def _heads(self) -> LossHeads:
        """Gradients by torch of the losses without a kernel, on their runs' buffers."""
        places = (ctypes.c_int64 * 3)()
        at = [ctypes.addressof(places) + 8 * i for i in range(3)]
        self.C.harness_logits(byref(self.program), pointer(self.memory), *at)
        numbers = torch.from_numpy(self.memory).view(getattr(torch, self.layout.dtype))
        V, wide = self.layout.shapes["output.weight"][1], places[2]
        z_KBV, d_KBV = (
            numbers[:, start : start + V * wide].view(-1, V, wide)[:, :, : self.B].mT
            for start in places[:2]
        )
        return LossHeads([self.runs[k] for k in self.foreign], z_KBV, d_KBV, self.B)

    def stretch(self, step: int) -> int:
        """To the end of the drawn block, or as far as a call may take."""
        if not isinstance(self.given, int):
            return 1
        a_step = self.K * 3 * self.B * self.layout.trained
        return max(1, min(BLOCK - step % BLOCK, int(WORK / a_step)))

    def train(self, first: int, stop: int, places: Collection[int]) -> None:
        """Steps first ... stop - 1, all of one block, of the runs at these places."""
        self._point(first, stop)
        own = [k for k in places if k not in self.foreign]
        self._call(own, stop - first, first, FORWARD | BACKWARD)
        others = [k for k in places if k in self.foreign]
        for step in range(first, stop) if others else ():
            self._point(step, step + 1)
            self._call(others, 1, step, FORWARD)
            drawn = [self.drawn[self.seeds[k]] for k in self.foreign]
            rows = [rows[step % BLOCK % len(rows)] for rows in drawn]  # of a full batch, one row
            self.heads.gradient(torch.from_numpy(self.targets[np.stack(rows)]).long())
            self._call(others, 1, step, BACKWARD)

    def _call(self, places: Sequence[int], steps: int, first: int, phase: int) -> None:
        if places:
            runs = (Run * len(places))(*[self.structs[k] for k in places])
            self.C.harness_train(byref(self.program), runs, len(places), steps, first, phase)

    def _point(self, first: int, stop: int) -> None:
        """Let the runs' structures point at what these steps need, drawn where it is not yet."""
        block, place = divmod(first, BLOCK)
        if block != self.block:
            self._draw(block)
        steps = range(first, stop)
        factors = {
            o: [o.factor(s, self.steps) for s in steps] for o in dict.fromkeys(self.schedules)
        }
        factor_KS = np.array([factors[o] for o in self.schedules])
        self.rate_K, self.embed_K = factor_KS * self.lr[:, :1], factor_KS * self.lr[:, 1:]
        for k, struct in enumerate(self.structs):
            struct.rate, struct.embed_rate = pointer(self.rate_K[k]), pointer(self.embed_K[k])
            drawn = self.drawn[self.seeds[k]]
            struct.examples = pointer(drawn[place % len(drawn)])  # one row may serve every step
            if self.drops[k]:
                struct.bits = pointer(self._addresses(k, place))

    def _draw(self, block: int) -> None:
        self.block, n = block, self.data.train.n
        self.drawn = {s: draw_examples(s, block, n, self.given) for s in dict.fromkeys(self.seeds)}
        widths = [self.program.layer[i].outputs for i in range(self.program.layers - 1)]
        silenced = [k for k, drop in enumerate(self.drops) if drop]
        names = {(self.seeds[k], self.runs[k].reg.name) for k in silenced}
        self.bits = {
            key: [draw_bits(*key, i, block, self.B, width) for i, width in enumerate(widths)]
            for key in names
        }
        self.addresses: dict[int, npt.NDArray[np.uint64]] = {}

    def _addresses(self, k: int, place: int) -> npt.NDArray[np.uint64]:
        layers = self.bits[self.seeds[k], self.runs[k].reg.name]
        self.addresses[k] = np.array([pointer(bits[place]) for bits in layers], np.uint64)
        return self.addresses[k]

    def observe(self, step: int, places: Collection[int]) -> list[Values]:
        """One step, its diagnostics from the sums that it leaves (see step() in kernels.cpp)."""
        layers, segments = self.layout.layers, self.layout.segments
        watch = np.zeros((self.K, 3 * len(layers) + 6 * len(segments)))
        for k, struct in enumerate(self.structs):
            struct.watch = pointer(watch[k])
        self.train(step, step + 1, places)
        for struct in self.structs:
            struct.watch = None
        activation = self.runs[0].model.activation
        columns: dict[str, npt.NDArray[np.float64]] = {}
        for i, name in enumerate(layers):
            total, square, off = watch[:, 3 * i : 3 * i + 3].T
            n = self.B * self.layout.shapes[f"{name}.weight"][1]
            columns[f"act/std/{name}"] = spread(total, square, n)
            if name != "output" and ACTIVATIONS.get(activation).saturated is not None:
                columns[f"act/saturated/{name}"] = off / n
        sums = watch[:, 3 * len(layers) :].reshape(self.K, -1, 3, 2)
        scaled = any(self.program.segment[i].times != 1 for i in range(len(segments)))
        # as the torch form, which stores no gradient there
        at_once = self.runs[0].optim.spec.in_place and not scaled
        for i, name in enumerate(segments):
            if not name.endswith(".weight"):
                continue
            short, n = name.removesuffix(".weight"), math.prod(self.layout.shapes[name])
            moved, size, slope = (
                spread(sums[:, i, which, 0], sums[:, i, which, 1], n) for which in range(3)
            )
            if at_once:
                slope = moved / (self.embed_K if name == "embedding.weight" else self.rate_K)[:, -1]
            columns[f"grad/std/{short}"] = slope
            with np.errstate(divide="ignore", invalid="ignore"):
                columns[f"grad/update_ratio/{short}"] = np.log10(moved / size)
        rows = by_run({name: column.tolist() for name, column in columns.items()}, self.K)
        return [row if k in places else {} for k, row in enumerate(rows)]

    def evaluations(self, names: Sequence[str]) -> NativeEvaluations:
        """An evaluation of these splits."""
        return NativeEvaluations(self, names)
