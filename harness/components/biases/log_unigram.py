"""Output biases that begin at the symbol frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.components.biases import BiasSpec, Targets
from harness.components.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy("numpy")


def vector(targets: Targets) -> NDArray[np.float64]:
    """ln p(symbol) from the training split alone, (V,); a symbol never seen there counts half once.

    With zero output weights the initial loss is then the unigram cross-entropy exactly.
    """
    floor = 0.5 / max(targets.count, 1)
    return np.log(np.maximum(np.asarray(targets.share, dtype=np.float64), floor))


SPEC = BiasSpec(
    draw=lambda _size, _scale, _rng, targets: vector(targets),
    vector=vector,
    of_symbols=True,
    summary="ln p(symbol) of the training split, output layer alone; bias_scale does not matter",
)
