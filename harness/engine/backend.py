"""What trains a chunk's runs: the part that the native kernel and the torch form do alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harness.engine.splits import EvaluationSet

Values = dict[str, float]


class Look(NamedTuple):
    """One run's evaluation with what it came from.

    logits: (C, V) over the evaluation set's contexts. units: per hidden layer, (3, O): sums of h,
    of h^2 and of saturation over training. shuffled: see evaluation.shuffled_loss, over training.
    fair: the metrics of its calibration, {} where there is none; see calibration.named.
    """

    values: Values
    logits: Tensor
    fair: Values
    units: Sequence[npt.NDArray[np.float64]] = ()
    shuffled: float | None = None


class Evaluations(Protocol):
    """Whole-split numbers of a chunk's runs; `set` holds the splits' contexts and pairs."""

    set: EvaluationSet

    def evaluate(self, places: Collection[int]) -> dict[int, Values]:
        """The split metrics of some runs at their present weights, by their place.

        With nll_calibrated/val, where outputs can be calibrated.
        """

    def looks(self, places: Collection[int], *, closely: bool) -> Iterator[tuple[int, Look]]:
        """A closer look at each run; closely: with its units and its shuffled loss too."""


class Backend(Protocol):
    """K runs of one shape: parameters, optimizer state, and steps that move them."""

    def train(self, first: int, stop: int, places: Collection[int]) -> None:
        """Steps first ... stop - 1 of the runs at these places; others may move or stay."""

    def observe(self, step: int, places: Collection[int]) -> list[Values]:
        """One step as `train`, and what went on inside the layers in it, per run."""

    def stretch(self, step: int) -> int:
        """How many steps from this one on are best taken in one call of `train`."""

    def evaluations(self, names: Sequence[str]) -> Evaluations:
        """An evaluation of these splits."""

    def penalty(self, k: int) -> float:
        """The penalty in run k's objective at its present weights."""

    def state(self) -> Mapping[str, Tensor]:
        """Live tensors that hold all of the runs' state between two steps, run axis first."""

    def load(self, k: int, weights: Mapping[str, Tensor]) -> None:
        """Put one run's parameters into place k."""

    def weights(self, k: int) -> dict[str, Tensor]:
        """Copies of one run's parameters, by the names of `RunRecord.weights`."""
