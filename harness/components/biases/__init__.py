"""How biases start: one module each."""

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
class BiasSpec(Spec):
    """One kind of bias start. A start is a constant, plus normal, plus uniform noise.

    draw: (size, scale, rng, log_unigram) -> (size,) float64; log_unigram (V,) is ln of the training
    shares, None for layers other than the output and for binary data. mean, std, half_width: of
    scale (a float) -> float, the constant, the standard deviation of the normal part and the
    half-width of the uniform part. from_data: it starts at log_unigram instead, so it is allowed
    for the output bias alone, and only where there are symbols.
    """

    draw: Callable[..., Array]
    mean: Callable[..., float] = lambda _scale: 0.0
    std: Callable[..., float] = lambda _scale: 0.0
    half_width: Callable[..., float] = lambda _scale: 0.0
    from_data: bool = False


BIASES: Registry[BiasSpec] = Registry("bias start", BiasSpec, __name__)
