"""Whole-split numbers of a chunk's runs by the evaluation kernel (evaluate.h)."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Collection, Iterator, Sequence
from ctypes import byref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from harness.components.losses import LINKS
from harness.data.dataset import Dataset
from harness.engine.backend import Look, Values
from harness.engine.calibration import PRIOR, Pairs, calibrated, named, parts_of
from harness.engine.evaluation import (
    SHUFFLED_WORK,
    own_metrics,
    run_metrics,
    shuffled_loss,
    with_calibrated,
)
from harness.engine.native.bindings import METRICS, Calibration, Reading, Run, Split, aligned
from harness.engine.native.layout import pointer
from harness.engine.native.runs import Runs
from harness.engine.splits import EvaluationSet, evaluation_set

TILE = 64  # contexts a pass: few enough that activations stay near the first-level cache
Floats = npt.NDArray[np.float64]


class Table(NamedTuple):
    """A split's pairs sorted by context, and the structure that points at them."""

    struct: Split
    arrays: tuple[npt.NDArray[Any], ...]  # kept, for the structure holds their addresses alone


def table(pairs: Pairs, contexts: int, *, ranked: bool = False) -> Table:
    """Pairs over so many contexts as the kernels read them."""
    row, target, count = pairs.row_P, pairs.target_P, pairs.count_P
    order = np.argsort(row, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=contexts))])
    arrays: tuple[npt.NDArray[Any], ...] = (
        start.astype(np.int64),
        target[order].astype(np.int32),
        np.ascontiguousarray(count[order]),
        np.bincount(row, weights=count, minlength=contexts),
    )
    names = ("start", "target", "count", "per_context")
    places = {name: pointer(array) for name, array in zip(names, arrays, strict=True)}
    return Table(Split(**places, n=pairs.n, ranked=ranked), arrays)


@functools.lru_cache(maxsize=4)
def tables(data: Dataset, names: tuple[str, ...], dtype: str) -> tuple[Any, list[Table]]:
    """The inputs of an evaluation set and its splits, as the kernels read them."""
    found = evaluation_set(data, names, "cpu")
    kind = dtype if found.binary else "int32"
    inputs = np.ascontiguousarray(found.inputs[: found.C].numpy(), kind)
    splits = {
        n: (s.row_P.numpy(), s.target_P.numpy(), s.count_P.numpy()) for n, s in found.splits.items()
    }
    return inputs, [table(Pairs(*splits[n]), found.C, ranked=n != "train") for n in names]


class Fitting:
    """What the kernels need to calibrate outputs over the contexts of an evaluation set.

    parts: what a reading is fitted on, then what it is judged on; rows: contexts a tile.
    """

    def __init__(self, parts: Sequence[Pairs], rows: int, V: int, dtype: str) -> None:
        self.first = max(int(part.row_P.max()) for part in parts) + 1
        contexts = -(-self.first // rows) * rows
        self.tables = [table(part, contexts) for part in parts]
        self.splits = (Split * len(parts))(*[t.struct for t in self.tables])
        self.kept, self.scratch = (aligned((contexts * V,), dtype) for _ in range(2))
        self.struct = Calibration(
            kept=pointer(self.kept), scratch=pointer(self.scratch), first=self.first,
            parts=ctypes.addressof(self.splits), count=len(parts), prior=PRIOR,
        )  # fmt: skip


class NativeEvaluations:
    """The `Evaluations` of a native chunk. Its first split is the training split."""

    def __init__(self, chunk: Runs, names: Sequence[str]) -> None:
        self.chunk, self.names = chunk, tuple(names)
        self.set: EvaluationSet = evaluation_set(chunk.data, self.names, "cpu")
        self.inputs, self.tables = tables(chunk.data, self.names, chunk.layout.dtype)
        self.V = 1 if chunk.binary else chunk.data.V
        self.structs = (Split * len(names))(*[t.struct for t in self.tables])
        rows = min(TILE, -(-self.set.C // 16) * 16)
        size = chunk.C.harness_bytes(byref(chunk.program), rows, 1)
        self.rows, self.memory = rows, aligned((int(size),), "uint8")
        self.parts = parts_of(chunk.data, self.names)

    @functools.cached_property
    def fitting(self) -> Fitting | None:
        """To calibrate on validation; None where nothing is, or (binary data) numpy does it."""
        return self._fitting(2)

    @functools.cached_property
    def whole_fitting(self) -> Fitting | None:
        """The same, with the training split's NLL under the reading."""
        return self._fitting(3)

    def _fitting(self, parts: int) -> Fitting | None:
        if self.parts is None or self.set.binary:
            return None
        return Fitting(self.parts[:parts], self.rows, self.V, self.chunk.layout.dtype)

    def evaluate(self, places: Collection[int]) -> dict[int, Values]:
        """Of some runs: the split metrics, as evaluation.run_metrics."""
        apart = [k for k in places if self.set.binary or not self._in_kernel(k)]
        own = [k for k in places if k not in apart]
        found, fair = self._call(own, self.fitting)
        out = {k: with_calibrated(found[k], fair[k]) for k in own}
        return {k: out[k] if k in out else self._look(k)[0].values for k in places}

    def _in_kernel(self, k: int) -> bool:
        """Whether the kernel measures all of a run: its loss, and no metric of a user's own."""
        return k not in self.chunk.foreign and not self.chunk.runs[k].train.metrics

    def looks(self, places: Collection[int], *, closely: bool) -> Iterator[tuple[int, Look]]:
        """Each run's values with its logits; closely: with its units and shuffled loss too."""
        for k in places:
            yield k, self._close_look(k) if closely else self._look(k)[0]

    def _look(self, k: int, **wanted: npt.NDArray[Any]) -> tuple[Look, bool]:
        """One run's values, logits and calibration; whether its loss is the kernels' work."""
        logits = np.empty((self.set.C, self.V), self.chunk.layout.dtype)
        found, read = self._call([k], self.whole_fitting, logits=logits, **wanted)
        values, fair, run, z_CV = found[k], read[k], self.chunk.runs[k], torch.from_numpy(logits)
        foreign = k in self.chunk.foreign
        if foreign:
            values, fair = run_metrics(z_CV, self.set, self.parts, run)
        else:
            values = {**values, **own_metrics(z_CV, self.set.splits, run)}
        if self.set.binary and not foreign:
            fair = calibrated(run.loss.spec, z_CV, self.parts)
        return Look(with_calibrated(values, fair), z_CV, fair), not foreign

    def _close_look(self, k: int) -> Look:
        widths = [self.chunk.program.layer[i].outputs for i in range(self.chunk.program.layers - 1)]
        units, total = np.zeros(3 * sum(widths)), np.zeros(1)
        wanted: dict[str, npt.NDArray[Any]] = {"units": units}
        few = self.V * self.V * self.set.C <= SHUFFLED_WORK
        if few and not self.set.binary:
            wanted |= {"shares": self.shares, "shuffled": total}
        look, whole = self._look(k, **wanted)
        ends = np.cumsum([3 * width for width in widths])[:-1]
        parts = [part.reshape(3, -1) for part in np.split(units, ends)] if widths else []
        if whole and "shuffled" in wanted:
            shuffled: float | None = float(total[0])
        else:
            pairs = self.set.splits["train"]
            shuffled = shuffled_loss(look.logits, pairs, self.chunk.runs[k])
        return look._replace(units=parts, shuffled=shuffled)

    @functools.cached_property
    def shares(self) -> Floats:
        """(V,): of each symbol among the training targets."""
        pairs = self.set.splits["train"]
        target, count = pairs.target_P.numpy(), pairs.count_P.numpy()
        return np.bincount(target, weights=count / pairs.n, minlength=self.V).astype(np.float64)

    def _call(
        self, places: Sequence[int], fitting: Fitting | None, **wanted: npt.NDArray[Any]
    ) -> tuple[dict[int, Values], dict[int, Values]]:
        """The split metrics of some runs, and of their calibrations: {} where there is none.

        wanted: arrays that the kernel fills, of one run alone (see Wanted in evaluate.h).
        """
        chunk = self.chunk
        runs = (Run * len(places))(*[chunk.structs[k] for k in places])
        for name, array in wanted.items():
            setattr(runs[0], name, pointer(array))
        found = np.zeros((len(places), len(self.names), len(METRICS)))
        finite, readings = np.zeros(len(places), np.int64), (Reading * len(places))()
        chunk.C.harness_evaluate(
            byref(chunk.program), runs, len(places), pointer(self.inputs), self.set.C, self.rows,
            self.structs, len(self.names), byref(fitting.struct) if fitting else None,
            pointer(self.memory), pointer(found), pointer(finite), readings,
        )  # fmt: skip
        fair: dict[int, Values] = {}
        for k, reading in zip(places, readings, strict=True):
            after = reading.nll[1 : fitting.struct.count] if fitting else []
            read = (LINKS[int(reading.link)], reading.temperature, reading.raw, after)
            fair[k] = named(*read) if reading.temperature else {}
        return self._values(places, found, finite), fair

    def _values(
        self, places: Sequence[int], found: Floats, finite: npt.NDArray[np.int64]
    ) -> dict[int, Values]:
        out: dict[int, Values] = {}
        for k, metrics_SM, good in zip(places, found, finite, strict=True):
            out[k] = {}
            for split, row in zip(self.names, metrics_SM, strict=True):
                own = dict(zip(METRICS, row.tolist(), strict=True))
                if split == "train" or not good:
                    own = {"loss": own["loss"], "nll": own["nll"]}
                elif self.set.binary:
                    del own["top3"], own["ece"]
                out[k] |= {f"{name}/{split}": value for name, value in own.items()}
        return out
