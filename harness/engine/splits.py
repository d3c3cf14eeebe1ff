"""What an evaluation looks at: the distinct contexts of several splits, and each split's pairs.

Axes: C distinct contexts of all splits together, P distinct (context, target) pairs of one split.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data.dataset import Dataset, Split
from harness.engine.network import padded
from harness.engine.passes import ROWS

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitPairs:
    """One split over the shared contexts: pair rows, targets, counts; examples per context."""

    row_P: Tensor
    target_P: Tensor
    count_P: Tensor  # float64
    count_C: Tensor  # float64
    n: int


class EvaluationSet:
    """The distinct inputs of several splits, merged, and each split's pairs over them.

    Contexts of validation come first, in the order in which its words meet them.
    """

    def __init__(self, data: Dataset, names: Sequence[str], device: torch.device) -> None:
        splits: list[Split] = [getattr(data, name) for name in names]
        self.binary = data.kind == "binary"
        if self.binary:
            inputs = np.concatenate([s.x for s in splits])
            starts = np.cumsum([0, *[s.n for s in splits]])
            rows = [np.arange(a, b) for a, b in itertools.pairwise(starts)]
        else:
            stacked = np.concatenate([s.contexts_CT for s in splits])
            inputs, index = np.unique(stacked, axis=0, return_inverse=True)
            parts = np.cumsum([len(s.contexts_CT) for s in splits])[:-1]
            own = np.split(index.reshape(-1), parts)
            if "val" in names:
                held = names.index("val")
                inputs, index = _met_first(inputs, index, own[held][splits[held].context_N])
                own = np.split(index.reshape(-1), parts)
            rows = [o[s.pair_context_P] for o, s in zip(own, splits, strict=True)]
        self.C = len(inputs)
        wide = padded(self.C, ROWS)
        self.inputs = torch.zeros(
            wide, inputs.shape[1], dtype=torch.float32 if self.binary else torch.int64
        )
        self.inputs[: self.C] = torch.from_numpy(np.ascontiguousarray(inputs))
        self.inputs = self.inputs.to(device)
        self.splits: dict[str, SplitPairs] = {}
        for name, split, row in zip(names, splits, rows, strict=True):
            target = split.y if self.binary else split.pair_target_P
            count = np.ones(split.n) if self.binary else split.pair_count_P
            per_context = np.bincount(row, weights=count, minlength=self.C)
            self.splits[name] = SplitPairs(
                torch.from_numpy(np.asarray(row, dtype=np.int64)).to(device),
                torch.from_numpy(np.asarray(target, dtype=np.int64)).to(device),
                torch.from_numpy(np.asarray(count, dtype=np.float64)).to(device),
                torch.from_numpy(per_context).to(device),
                split.n,
            )


def _met_first(inputs: Array, index: Array, row_N: Array) -> tuple[Array, Array]:
    """The inputs of row_N first, in the order they are met there, then the others; index follows.

    So the contexts of validation's first half are at the front, for calibration to work on.
    """
    first = np.full(len(inputs), len(row_N))
    np.minimum.at(first, row_N, np.arange(len(row_N)))
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return inputs[order], place[index]


@functools.lru_cache(maxsize=8)
def evaluation_set(data: Dataset, names: tuple[str, ...], device: str) -> EvaluationSet:
    """The set of these splits, shared by the chunks of one data set."""
    return EvaluationSet(data, names, torch.device(device))
