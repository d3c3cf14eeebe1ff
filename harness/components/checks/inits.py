"""Whether an init draws what it says: shapes, standard deviation, kurtosis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from harness.components.inits import InitSpec
from harness.numerics.randomness import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS, ERRORS = 60, 5.0


def problems(spec: InitSpec) -> Iterator[str]:
    """Every inconsistency of one init, in words."""
    for fan_in, fan_out, gain in ((30, 40, 1.0), (40, 30, 5 / 3)):
        drawn = [spec.draw(fan_in, fan_out, gain, stream(seed, "check")) for seed in range(DRAWS)]
        shapes = {np.shape(one) for one in drawn}
        if shapes != {(fan_in, fan_out)}:
            yield f"draw({fan_in}, {fan_out}, ...) gives shapes {sorted(shapes)}"
            return
        if not np.array_equal(drawn[0], spec.draw(fan_in, fan_out, gain, stream(0, "check"))):
            yield "draw gives other numbers for the same generator: it uses one of its own"
        if spec.std is not None:
            where = f"fan_in {fan_in}, fan_out {fan_out}, gain {gain:.3g}"
            std = float(spec.std(fan_in, fan_out, gain))
            yield from _moments(np.stack(drawn), std, spec.kurtosis, "std", where)
    rows = np.stack([spec.embedding(9, 50, stream(seed, "embed")) for seed in range(DRAWS)])
    if rows.shape[1:] != (9, 50):
        yield f"embedding(9, 50, ...) gives the shape {rows.shape[1:]}"
        return
    law = spec.embedding_std, spec.embedding_kurtosis
    yield from _moments(rows, *law, "embedding_std", "the embedding")


def _moments(
    drawn: NDArray[np.float64], std: float, kurtosis: float, name: str, where: str
) -> Iterator[str]:
    if not np.isfinite(drawn).all():
        yield f"not every number is finite ({where})"
        return
    size = math.sqrt(float((drawn**2).mean()))
    each = (drawn**2).reshape(len(drawn), -1).mean(1)  # whole matrices: their entries may depend
    error = float(each.std()) / math.sqrt(len(drawn)) / max(2 * size, 1e-300)
    if abs(size - std) > ERRORS * error + 1e-9 * std:
        yield f"{name} says {std:.4g}; what is drawn has a root mean square of {size:.4g} ({where})"
        return
    if std > 0:
        fourth = (drawn / std) ** 4
        error = float(fourth.std()) / math.sqrt(fourth.size)
        if abs(float(fourth.mean()) - 3 - kurtosis) > ERRORS * error + 0.01:
            yield (
                f"the excess kurtosis is given as {kurtosis:g}; what is drawn has "
                f"{float(fourth.mean()) - 3:.3g} ({where})"
            )
