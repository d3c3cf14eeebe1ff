"""The best of a sweep on seeds that did not choose it: chosen value, fresh value, optimism.

The best of many configurations owes a part of its place to luck. That part, the optimism, is what
its mean over fresh seeds is worse by. The test split plays no part in any choice and is given here.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config.run import RunConfig
from harness.errors import ConfigError
from harness.numerics.folding import Estimate, estimate
from harness.records.ranking import Ranking, Row, measured

TEST = "nll/test"


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """One configuration: rank and mean in the sweep that chose it, and what fresh seeds give."""

    rank: int
    config_id: str
    run_id: str  # of one fresh run: its settings are the configuration's
    chosen: float
    fresh: Estimate
    test: Estimate

    @property
    def optimism(self) -> float | None:
        """Fresh mean minus chosen mean: above 0 where the choice flattered it."""
        return None if self.fresh.mean is None else self.fresh.mean - self.chosen


def chosen_of(found: Ranking, top: int) -> dict[str, Any]:
    """What a sweep of confirmation keeps of the sweep that chose: metric, how many, the best."""
    known = [one for one in found.standings if one.value.mean is not None]
    if found.yardstick.apart:
        raise ConfigError(
            f"the losses of this sweep cannot be ranked together: {found.yardstick}. Confirm a "
            "sweep of one loss."
        )
    if not known:
        raise ConfigError("no run of this sweep has a value that could be confirmed.")
    return {
        "metric": found.yardstick.metric,
        "configurations": len(found.standings),
        "chosen": [
            {"config_id": one.config_id, "value": one.value.mean, "n": one.value.n}
            for one in known[:top]
        ],
    }


def fresh_seeds(used: Sequence[int], count: int) -> list[int]:
    """The smallest seeds that none of these runs used."""
    taken = set(used)
    return list(itertools.islice((s for s in itertools.count() if s not in taken), count))


def fresh_runs(config: RunConfig, seeds: Sequence[int]) -> list[RunConfig]:
    """A configuration on these seeds; seeds of its own for weights and batches follow them."""
    init = dataclasses.replace(config.init, seed=None)
    train = dataclasses.replace(config.train, batch_seed=None)
    return [dataclasses.replace(config, seed=seed, init=init, train=train) for seed in seeds]


def confirmed(confirms: Mapping[str, Any], rows: Sequence[Row]) -> list[Confirmed]:
    """The chosen configurations with what their fresh runs measured, in the order of the choice."""
    out = []
    for rank, one in enumerate(confirms["chosen"], 1):
        own = [row for row in rows if row["config_id"] == one["config_id"]]
        if own:
            out.append(
                Confirmed(
                    rank=rank,
                    config_id=one["config_id"],
                    run_id=str(own[0]["run_id"]),
                    chosen=float(one["value"]),
                    fresh=_mean(own, confirms["metric"]),
                    test=_mean(own, TEST),
                )
            )
    return out


def _mean(rows: Sequence[Row], metric: str) -> Estimate:
    return estimate([v for row in rows if (v := measured(row, metric)) is not None])
