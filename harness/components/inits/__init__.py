"""Schemes that draw the first weights: one file each, with the law of what they draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Draw = Callable[[int, int, float, "np.random.Generator"], "Array"]
EmbeddingDraw = Callable[[int, int, "np.random.Generator"], "Array"]
SMALL, LARGE = 10, 1000  # fans between which a scaled scheme's standard deviation falls


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InitSpec(Spec):
    """How the weights of a layer are drawn at step 0. Only `draw` is required.

    draw(fan_in, fan_out, gain, rng) -> Array (fan_in, fan_out), float64: one matrix. rng is a
    numpy Generator, the named stream of that matrix; gain is that of the activation that follows, 1
    for the output layer. The `init.*_scale` settings multiply afterwards.
    std(fan_in, fan_out, gain): standard deviation of an entry. None: the theory of the start does
    not cover the scheme, and no expected loss and no z are given.
    kurtosis: excess kurtosis of an entry: 0 for a normal, -1.2 for a uniform one.
    orthogonal: columns (rows, where there are fewer) of one matrix are orthogonal and of one
    length, which narrows the spread over draws.

    The embedding, (V, D), has a law of its own; the default is N(0, 1):
    embedding(V, D, rng), embedding_std and embedding_kurtosis (excess).
    """

    draw: Draw
    std: Callable[[int, int, float], float] | None = None
    kurtosis: float = 0.0
    orthogonal: bool = False
    embedding: EmbeddingDraw = lambda V, D, rng: rng.standard_normal((V, D))
    embedding_std: float = 1.0
    embedding_kurtosis: float = 0.0

    @property
    def scaled(self) -> bool:
        """Whether wider layers get smaller weights, so that spreads do not grow with the width."""
        return self.std is not None and self.std(LARGE, LARGE, 1.0) < self.std(SMALL, SMALL, 1.0)


INITS: Registry[InitSpec] = Registry("init scheme", InitSpec, __name__, configurable=True)
