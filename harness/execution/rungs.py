"""Where the runs of a sweep pause so that the worse ones can be dropped (successive halving).

Source: Jamieson & Talwalkar 2016, arXiv:1502.07943; synchronous, since runs that are trained
together have no stragglers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.config.run import RunConfig


@dataclass(frozen=True)
class Rung:
    """The i-th rung from the end: steps x factor^-i, at the first evaluation at or after."""

    factor: int
    i: int

    def step(self, run: RunConfig) -> int | None:
        """The step at which a run pauses; None where that would be its end."""
        own = run.resolved().train
        every = own.eval_every or 1
        step = math.ceil(own.steps / self.factor**self.i / every) * every
        return step if step < own.steps else None

    def plain(self) -> list[int]:
        """As messages have it."""
        return [self.factor, self.i]
