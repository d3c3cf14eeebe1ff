"""What goes on inside a network: pre-activations, activations, saturation, embedding.

Exact over the training split: every distinct input once, weighted by how often it occurs; of a
split too large for that every n-th example. In evaluation mode, as all whole-split numbers.

Axes: R distinct inputs, E examples, O units, B bins, V symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.analysis.networks import When, data_of, network_at
from harness.components.activations import ACTIVATIONS
from harness.errors import ConfigError, HarnessError

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.records.record import RunRecord

VALUES = 4_000_000  # numbers of one layer that are held at once
EXAMPLES = 64  # rows of a saturation map
BINS = 80


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """How many values of a layer fall between two neighbouring edges."""

    edges_B1: NDArray[np.float64]
    count_B: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Examples times units."""
        return int(self.count_B.sum())

    @property
    def density_B(self) -> NDArray[np.float64]:
        """Counts so scaled that the area is 1."""
        return self.count_B / (max(self.total, 1) * np.diff(self.edges_B1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One layer over the training split.

    pre: what goes into the nonlinearity, of the output layer the logits; post: what comes out, None
    for the output layer. saturated: share of the values of `post` that are saturated (as
    init/saturated), and saturated_EO where, of the first examples; None where nothing can be.
    """

    name: str
    pre: Histogram
    post: Histogram | None = None
    saturated: float | None = None
    saturated_EO: NDArray[np.bool_] | None = None


def insides(
    record: RunRecord, *, data: Dataset | None = None, when: When = "end", examples: int = EXAMPLES
) -> tuple[Layer, ...]:
    """A run's layers, input to output, before the first step ("start") or after the last.

    data: what the run was trained on, where that is no source it can be loaded from. ConfigError
    for a number of examples below 1; HarnessError where an activation is not finite, and as
    `networks.network_at` and `networks.data_of`.
    """
    if examples < 1:
        raise ConfigError(f"examples is {examples}; allowed: a whole number, 1 or more.")
    data = data_of(record) if data is None else data
    net, split = network_at(record, when, data), data.train
    phi = ACTIVATIONS.get(record.config.model.activation)
    widest = max([*record.config.model.hidden, data.V])
    fits = len(split.contexts_CT) * widest <= VALUES
    every = 1 if fits else -(-split.n * widest // VALUES)
    row_R, count_R = np.unique(split.context_N[::every], return_counts=True)
    few = split.x_NT[:examples]
    both = torch.from_numpy(np.concatenate([split.contexts_CT[row_R], few]))
    kind, R = net.output.weight.dtype, len(count_R)
    out = []
    with torch.no_grad():
        h = both.to(kind) if net.embedding is None else net.embedding(both).flatten(1)
        for i, block in enumerate(net.hidden):
            *before, nonlinearity = block.children()
            pre = h
            for part in before:
                pre = part(pre)
            h = nonlinearity(pre)
            flag = None if phi.saturated is None else phi.saturated(h, pre).numpy()
            out.append(
                Layer(
                    name=f"hidden.{i}", pre=_histogram(pre[:R], count_R),
                    post=_histogram(h[:R], count_R),
                    saturated=None if flag is None else _share(flag[:R], count_R),
                    saturated_EO=None if flag is None else flag[R:],
                )
            )  # fmt: skip
        logits = net.output(h)[:R]
    return (*out, Layer(name="output", pre=_histogram(logits, count_R)))


def embedding_in_plane(
    table_VI: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """(V, 2) places of symbols, and the share of the variance along each direction.

    The table itself where it has two columns (the shares are None); else its two principal
    components, of which each points to where its largest entry is positive.
    """
    V, wide = table_VI.shape
    if wide == 2:
        return table_VI, None
    if wide < 2 or V < 2:
        raise ConfigError(
            f"the embedding has {V} symbols in {wide} dimensions; a plane needs 2 of each or more."
        )
    centred = table_VI - table_VI.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    place_V2 = left[:, :2] * size[:2]
    signs = np.sign(place_V2[np.abs(place_V2).argmax(0), [0, 1]])
    total = float((size**2).sum())
    share = size[:2] ** 2 / total if total > 0 else np.zeros(2)
    return place_V2 * np.where(signs == 0, 1, signs), share


def _histogram(values: Tensor, count_R: NDArray[np.int64]) -> Histogram:
    """Of values (R, O), each row as often as it occurs."""
    value_RO = values.double().numpy()
    low, high = float(value_RO.min()), float(value_RO.max())
    if not np.isfinite([low, high]).all():
        raise HarnessError("this network's activations are not finite; there is nothing to draw.")
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-12):
        around = 0.5 * max(abs(low), 1e-3)
        low, high = low - around, high + around
    edges = np.linspace(low, high, BINS + 1)
    bin_RO = ((value_RO - low) * (BINS / (high - low))).astype(np.int64).clip(0, BINS - 1)
    weight_RO = np.broadcast_to(count_R[:, None], bin_RO.shape)
    counts = np.bincount(bin_RO.ravel(), weights=weight_RO.ravel(), minlength=BINS)
    return Histogram(edges_B1=edges, count_B=counts.round().astype(np.int64))


def _share(flag_RO: NDArray[np.bool_], count_R: NDArray[np.int64]) -> float:
    return float(count_R @ flag_RO.sum(1)) / (float(count_R.sum()) * flag_RO.shape[1])
