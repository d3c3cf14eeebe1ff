"""Whole-split numbers of a chunk's runs by the evaluation kernel (evaluate.h)."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from ctypes import byref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from harness.data.dataset import Dataset
from harness.engine.backend import Look, Values
from harness.engine.evaluation import (
    SHUFFLED_WORK,
    binary_metrics,
    class_metrics,
    shuffled_loss,
)
from harness.engine.native.bindings import METRICS, Run, Split, aligned
from harness.engine.native.layout import pointer
from harness.engine.native.runs import Runs
from harness.engine.splits import EvaluationSet, SplitPairs, evaluation_set

TILE = 64  # contexts a pass: few enough that activations stay near the first-level cache
Floats = npt.NDArray[np.float64]


class Table(NamedTuple):
    """A split's pairs sorted by context, and the structure that points at them."""

    struct: Split
    arrays: tuple[npt.NDArray[Any], ...]  # kept, for the structure holds their addresses alone


def table(pairs: SplitPairs, contexts: int, *, ranked: bool) -> Table:
    """One split as the kernels read it."""
    row, target, count = (x.cpu().numpy() for x in (pairs.row_P, pairs.target_P, pairs.count_P))
    order = np.argsort(row, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=contexts))])
    arrays: tuple[npt.NDArray[Any], ...] = (
        start.astype(np.int64),
        target[order].astype(np.int32),
        np.ascontiguousarray(count[order]),
        np.ascontiguousarray(pairs.count_C.cpu().numpy()),
    )
    names = ("start", "target", "count", "per_context")
    places = {name: pointer(array) for name, array in zip(names, arrays, strict=True)}
    return Table(Split(**places, n=pairs.n, ranked=ranked), arrays)


@functools.lru_cache(maxsize=4)
def tables(data: Dataset, names: tuple[str, ...], dtype: str) -> tuple[Any, list[Table]]:
    """The inputs of an evaluation set and its splits, as the kernels read them."""
    found = evaluation_set(data, names, torch.device("cpu"))
    kind = dtype if found.binary else "int32"
    inputs = np.ascontiguousarray(found.inputs[: found.C].numpy(), kind)
    return inputs, [table(found.splits[n], found.C, ranked=n != "train") for n in names]


class NativeEvaluations:
    """The `Evaluations` of a native chunk. Its first split is the training split."""

    def __init__(self, chunk: Runs, names: Sequence[str]) -> None:
        self.chunk, self.names = chunk, tuple(names)
        self.set: EvaluationSet = evaluation_set(chunk.data, self.names, torch.device("cpu"))
        self.inputs, self.tables = tables(chunk.data, self.names, chunk.layout.dtype)
        self.V = 1 if chunk.binary else chunk.data.V
        self.structs = (Split * len(names))(*[t.struct for t in self.tables])
        rows = min(TILE, -(-self.set.C // 16) * 16)
        size = chunk.C.harness_bytes(byref(chunk.program), rows, 1)
        self.rows, self.memory = rows, aligned((int(size),), "uint8")

    def evaluate(self, places: Collection[int]) -> dict[int, Values]:
        """Of some runs: the split metrics, as evaluation.class_metrics and binary_metrics."""
        own = [k for k in places if k not in self.chunk.foreign]
        out = self._values(own, *self._call(own))
        for k in places:  # in the order asked for; a loss without a kernel is torch's to value
            out[k] = out.pop(k) if k in out else next(self.looks([k], closely=False))[1].values
        return out

    def looks(self, places: Collection[int], *, closely: bool) -> Iterator[tuple[int, Look]]:
        """Each run's values with its logits; closely: with its units and shuffled loss too."""
        chunk, pairs = self.chunk, self.set.splits["train"]
        widths = [chunk.program.layer[i].outputs for i in range(chunk.program.layers - 1)]
        for k in places:
            run, foreign = chunk.runs[k], k in chunk.foreign
            logits = np.empty((self.set.C, self.V), chunk.layout.dtype)
            units, total = np.zeros(3 * sum(widths)), np.zeros(1)
            wanted: dict[str, npt.NDArray[Any]] = {"logits": logits}
            if closely:
                wanted |= {"units": units}
            few = self.V * self.V * self.set.C <= SHUFFLED_WORK
            counted = closely and few and not foreign and not self.set.binary
            if counted:
                wanted |= {"shares": self.shares, "shuffled": total}
            values = self._values([k], *self._call([k], **wanted))[k]
            z_CV = torch.from_numpy(logits)
            if foreign:
                measure = binary_metrics if self.set.binary else class_metrics
                values = measure(z_CV, self.set.splits, run)
            shuffled = float(total[0]) if counted else None
            if closely and not counted:
                shuffled = shuffled_loss(z_CV, pairs, run)
            ends = np.cumsum([3 * width for width in widths])[:-1]
            parts = [part.reshape(3, -1) for part in np.split(units, ends)] if widths else []
            yield k, Look(values, z_CV, parts, shuffled)

    @functools.cached_property
    def shares(self) -> Floats:
        """(V,): of each symbol among the training targets."""
        pairs = self.set.splits["train"]
        target, count = pairs.target_P.numpy(), pairs.count_P.numpy()
        return np.bincount(target, weights=count / pairs.n, minlength=self.V).astype(np.float64)

    def _call(
        self, places: Sequence[int], **wanted: npt.NDArray[Any]
    ) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Metrics (runs, splits, METRICS), and whether all logits are finite, (runs,).

        wanted: arrays that the kernel fills, of one run alone (see Wanted in evaluate.h).
        """
        chunk = self.chunk
        runs = (Run * len(places))(*[chunk.structs[k] for k in places])
        for name, array in wanted.items():
            setattr(runs[0], name, pointer(array))
        found = np.zeros((len(places), len(self.names), len(METRICS)))
        finite = np.zeros(len(places), np.int64)
        chunk.C.harness_evaluate(
            byref(chunk.program), runs, len(places), pointer(self.inputs), self.set.C, self.rows,
            self.structs, len(self.names), pointer(self.memory), pointer(found), pointer(finite),
        )  # fmt: skip
        return found, finite

    def _values(
        self, places: Sequence[int], found: Floats, finite: npt.NDArray[np.int64]
    ) -> dict[int, Values]:
        out: dict[int, Values] = {}
        for k, metrics_SM, good in zip(places, found, finite, strict=True):
            out[k] = {}
            for split, row in zip(self.names, metrics_SM, strict=True):
                named = dict(zip(METRICS, row.tolist(), strict=True))
                if split == "train" or not good:
                    named = {"loss": named["loss"], "nll": named["nll"]}
                elif self.set.binary:
                    del named["top3"], named["ece"]
                out[k] |= {f"{name}/{split}": value for name, value in named.items()}
        return out
