"""Schemes by which weights are drawn: one module each, with its draw and what theory must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.components.registry import Registry
from harness.components.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class InitSpec(Spec):
    """One scheme. Scales of the config multiply what it draws.

    draw: (fan_in, fan_out, gain, rng) -> (fan_in, fan_out) float64. `gain` is that of the
    activation that follows, 1 for the output layer; `rng` a numpy Generator, the layer's own named
    stream. std: (fan_in, fan_out, gain) -> standard deviation of an entry; None: unknown, then no
    initial loss is expected. kurtosis: excess, of one entry; 0 is the normal's. orthogonal: the
    rows or columns are orthogonal, so the output's length is fixed rather than drawn.
    embedding: (symbols, width, rng) -> (symbols, width); None: N(0, 1). embedding_std and
    embedding_kurtosis: of an entry of it.
    """

    draw: Callable[..., Array]
    std: Callable[..., float] | None = None
    kurtosis: float = 0.0
    orthogonal: bool = False
    embedding: Callable[..., Array] | None = None
    embedding_std: float = 1.0
    embedding_kurtosis: float = 0.0


INITS: Registry[InitSpec] = Registry("init scheme", InitSpec, __name__)
