"""First values of the biases: one file each, with their law."""

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


@dataclass(frozen=True, kw_only=True)
class BiasLaw:
    """A bias at step 0: a constant, plus normal noise, plus uniform noise, all independent."""

    mean: float = 0.0
    std: float = 0.0  # of the normal part
    half_width: float = 0.0  # of the uniform part


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """What a bias may know of the training split: share (V,) of each target, count of examples.

    Binary data: shares of -1 and of +1. outputs: logits of the network, V, or 1 for binary data.
    """

    share: Array
    count: int
    outputs: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BiasSpec(Spec):
    """How the biases of a layer begin. Only `draw` is required.

    draw(size, scale, rng, targets) -> Array (size,), float64: one layer's biases. scale is
    `init.bias_scale`; rng the named stream of that bias; targets the training split's, of which an
    output bias may make use.
    law(scale) -> BiasLaw of one bias, for the theory of the start. None, without `vector` too: the
    theory does not cover it, and no expected loss and no z are given.
    vector(targets) -> Array: the biases themselves, where they follow from the targets and nothing
    else; such a vector is a candidate for the best constant start.
    of_symbols: a number a symbol, for the output layer of class data alone (`init.output_bias`).
    """

    draw: Callable[[int, float, np.random.Generator, Targets], Array]
    law: Callable[[float], BiasLaw] | None = None
    vector: Callable[[Targets], Array] | None = None
    of_symbols: bool = False


BIASES: Registry[BiasSpec] = Registry("bias", BiasSpec, __name__)
