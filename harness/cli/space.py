"""The space of a search: which settings vary, over what, and what a trial makes of them.

A space is written in Hydra's grammar, and knows nothing of Hydra: `optim.lr=tag(log,
interval(.003,3))` is a number on a log scale, `int(interval(1,9))` and `range(1,9)` whole ones,
`choice(a,b)` or `a,b` a choice. Lists of seeds are no dimension but replicates of every trial.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.components.optimizers import OPTIMIZERS
from harness.components.penalties import PENALTIES
from harness.errors import ConfigError
from harness.records.searches import Value

REPLICATES = ("seed", "init.seed", "train.batch_seed")
DIGITS = 4  # of a number that is searched for: a trial can be read, and typed again
# settings that mean nothing under some choice of another: not asked for there
CONDITIONAL: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "reg.strength": ("reg", lambda name: PENALTIES.get(name).stage != "none"),
    "reg.scope": ("reg", lambda name: PENALTIES.get(name).stage != "none"),
    "optim.momentum": ("optim", lambda name: "momentum" in OPTIMIZERS.get(name).settings),
}


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One setting that is searched for. choices: a choice of texts; else low ... high, whole
    numbers by `step` where that is given, on a log scale with `log`.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: int | None = None
    log: bool = False

    def __post_init__(self) -> None:
        numbers = not self.choices
        if numbers and not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(
                f"{self.key}: an interval has two finite ends; allowed: finite numbers."
            )
        if numbers and not self.low < self.high:
            raise ConfigError(
                f"{self.key}: the interval from {self.low:g} to {self.high:g} is empty; allowed: a "
                "lower end below the upper one."
            )
        if self.log and self.low <= 0:
            raise ConfigError(
                f"{self.key}: a log scale from {self.low:g}; allowed: a lower end above 0."
            )

    def at(self, share: float) -> Value:
        """The value a share in [0, 1) of the way along."""
        if self.choices:
            return self.choices[int(share * len(self.choices))]
        if self.step is not None and not self.log:
            count = int((self.high - self.low) // self.step) + 1
            return int(self.low) + self.step * int(share * count)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.log and self.step is not None:  # every whole number has its own stretch
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        found = low + share * (high - low)
        return self.rounded(math.exp(found) if self.log else found)

    def rounded(self, value: float) -> Value:
        """A number as a trial holds it: whole, or of four digits and within the ends."""
        if self.step is not None:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Space:
    """fixed: overrides of every run; dimensions; replicates: each seed setting and its texts."""

    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    replicates: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def seeds(self) -> int:
        """Runs of one trial."""
        return math.prod(len(values) for _, values in self.replicates)

    def asked(self, key: str, chosen: Mapping[str, Value]) -> bool:
        """Whether a setting means anything beside what is chosen, or fixed, for another one."""
        if key not in CONDITIONAL:
            return True
        group, means = CONDITIONAL[key]
        fixed = dict(text.split("=", 1) for text in self.fixed if "=" in text)
        for name in (group, f"{group}.name"):
            found = chosen.get(name, fixed.get(name))
            if found is not None:
                return means(str(found))
        return True

    def ordered(self) -> tuple[Dimension, ...]:
        """Dimensions so that each stands behind the one it depends on."""
        return tuple(sorted(self.dimensions, key=lambda one: one.key in CONDITIONAL))

    def jobs(self, params: Mapping[str, Value]) -> list[list[str]]:
        """The overrides of each run of one trial."""
        own = [f"{key}={value}" for key, value in params.items()]
        axes = [[f"{key}={value}" for value in values] for key, values in self.replicates]
        return [[*self.fixed, *own, *seeds] for seeds in itertools.product(*axes)]

    def to_plain(self) -> list[object]:
        """What names the space: equal spaces are equal here."""
        dims = [
            [d.key, list(d.choices), d.low, d.high, d.step, d.log]
            for d in sorted(self.dimensions, key=lambda d: d.key)
        ]
        return [sorted(self.fixed), dims, [[key, list(v)] for key, v in sorted(self.replicates)]]


def check_space(dimensions: Sequence[Dimension]) -> None:
    """ConfigError where there is nothing to search for."""
    if not dimensions:
        raise ConfigError(
            "there is nothing to search for; allowed: one setting or more with several values or "
            "an interval, such as optim.lr=tag(log,interval(.003,3)) or loss=mse,bce."
        )
