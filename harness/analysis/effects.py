"""What a sweep varied, and what that did: keys and their levels, influence, fair comparisons.

Everything the report says or draws is chosen here from the table itself, so that any sweep gets a
report that fits it. Runs and configurations: replicates (seeds apart) share a config_id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.analysis.levels import Codes, Floats, Key, follows, key_of
from harness.analysis.table import SEEDS, plain_rows
from harness.config.automatic import unspelled
from harness.config.keys import OF_COMPONENTS, field_rules, nest, rule_of
from harness.config.labels import nll_unit
from harness.config.run import RunConfig, run_config
from harness.numerics.folding import pairs
from harness.numerics.variance import effective_seeds
from harness.records.partial import counts, ended_early
from harness.records.ranking import READ, Standing, ranking

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable


class Swept:
    """A sweep's table, with what varied in it.

    runs: finished runs; failed: the others that ended badly. ranking: configurations, best first;
    metric: the yardstick they are ranked by (lower is better), None where no run has one.
    """

    def __init__(self, table: SweepTable) -> None:
        self.table, self.meta = table, table.meta
        every = table.runs
        ended = np.array([status in (None, "FINISHED") for status in every["status"]], bool)
        self.runs: Any = every[ended].reset_index(drop=True)
        self.failed: Any = every[~ended].reset_index(drop=True)
        self.runs["config"] = self._configs()
        rows = [
            row | {"config_id": config}
            for row, config in zip(plain_rows(self.runs, READ), self.runs["config"], strict=True)
        ]
        self.ended = np.array([ended_early(row) for row in rows], dtype=object)
        self.ranking = ranking(rows)
        named = self.ranking.yardstick.metric
        self.metric = named if len(self.known(named)) else None

    def _configs(self) -> list[Any]:
        if "config_id" in self.runs and self.runs["config_id"].notna().all():
            return list(self.runs["config_id"])
        keys = [key for key in self.table.varying if key not in SEEDS]
        return [" ".join(map(repr, row)) for row in self.runs[keys].to_numpy().tolist()]

    def known(self, metric: str) -> Any:
        """A metric of the finished runs that may be compared; empty where there is none."""
        return pd.Series(self.values(metric)).dropna()

    def values(self, metric: str) -> Floats:
        """A metric per finished run; nan where it has none that may be compared (see partial)."""
        if metric not in self.runs:
            return np.full(len(self.runs), np.nan)
        out = self.runs[metric].astype(float).to_numpy(copy=True)
        for how in set(self.ended):
            if not counts(metric, how):
                out[self.ended == how] = np.nan
        return out

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """Configurations with a value of the yardstick, best first."""
        return tuple(s for s in self.ranking.standings if s.value.mean is not None)

    @cached_property
    def keys(self) -> dict[str, Key]:
        """The settings that vary between configurations and can change a number, by name."""
        names = [n for n in self.table.varying_settings if rule_of(n)["numeric"]]
        keys = [key_of(name, self.runs[name].tolist()) for name in names]
        return {key.name: key for key in keys if len(key.values) > 1}

    @cached_property
    def influence(self) -> dict[str, float]:
        """Share of the yardstick's variance that each key explains by itself, largest first."""
        return self.influence_on(self.metric) if self.metric else {}

    def influence_on(self, metric: str, *, log: bool = False) -> dict[str, float]:
        """As `influence`, for any metric; log: of its logarithm."""
        values = self.known(metric)
        values = np.log(values[values > 0]) if log else values
        shares = {
            name: explained(values.to_numpy(), key.codes[values.index.to_numpy()])
            for name, key in self.keys.items()
        }
        return dict(sorted(shares.items(), key=lambda pair: -pair[1]))

    @property
    def replicates(self) -> int:
        """Most runs of one configuration."""
        counts = self.runs["config"].value_counts()
        return int(counts.max()) if len(counts) else 0

    def best_of(self, name: str) -> dict[str, float]:
        """Label of each level of a key -> mean yardstick of the best configuration there."""
        key, out = self.keys[name], dict[str, float]()
        for one in self.standings:
            out.setdefault(key.labels[key.codes[one.places[0]]], one.value.mean or 0.0)
        return {label: out[label] for label in key.labels if label in out}

    def hold_best(self, free: Sequence[str], within: Any = None) -> tuple[Any, dict[str, str]]:
        """Runs that agree with the best configuration in every key but `free`, and what is held.

        within: a mask of runs to stay inside. Where that leaves under half of the levels of a
        free key (a random search), nothing is held and all runs within are returned.
        """
        mask = np.ones(len(self.runs), bool) if within is None else np.asarray(within)
        best = next((one.places[0] for one in self.standings if mask[one.places[0]]), None)
        freed = [self.keys[name] for name in free if name in self.keys]
        others = [key for key in self.keys.values() if not any(follows(key, f) for f in freed)]
        if best is None:
            return mask, {}
        kept = mask.copy()
        for key in others:
            kept &= key.codes == key.codes[best]
        for name in free:
            if name in self.keys:
                codes = self.keys[name].codes
                if 2 * len(set(codes[kept])) < len(set(codes[mask])):
                    return mask, {}
        held = {key.name: key.labels[key.codes[best]] for key in others}
        return kept, {n: v for n, v in held.items() if len(set(self.keys[n].codes[mask])) > 1}

    def matched(self, name: str, low: int, high: int, metric: str) -> pd.DataFrame:
        """A metric at level `high` minus at level `low`, run against run with all else equal.

        One row a pair: change; seed and rest: what both runs share, the other settings as codes.
        """
        mine = self.keys[name]
        others = [key.codes for key in self.keys.values() if not follows(key, mine)]
        rest = list(zip(*others, strict=True)) or [()] * len(self.runs)
        values = self.values(metric)
        left, right = (np.flatnonzero((mine.codes == k) & np.isfinite(values)) for k in (low, high))
        met = pairs(left, right, list(zip(self.seeds, rest, strict=True)))
        return pd.DataFrame(
            {
                "change": [values[j] - values[i] for i, j in met],
                "seed": [self.seeds[j] for _, j in met],
                "rest": [str(rest[j]) for _, j in met],
            }
        )

    @property
    def unit(self) -> str:
        """The unit of nll/* in these runs."""
        return nll_unit(self.runs.get("data.name", ()))

    @cached_property
    def seeds(self) -> list[tuple[Any, ...]]:
        """Per finished run, the seed of its initial weights, its batches and its split."""
        return list(zip(*effective_seeds(self.runs).values(), strict=True))

    def settings_of(self, place: int) -> dict[str, Any]:
        """The varying settings of one finished run, seeds left out."""
        return {name: self.runs.at[place, name] for name in self.keys}


def explained(values: Floats, codes: Codes) -> float:
    """Share of the variance between groups, corrected for their number (epsilon squared), >= 0."""
    n, k = len(values), len(set(codes.tolist()))
    total = float(((values - values.mean()) ** 2).sum()) if n else 0.0
    if n <= k or k < 2 or total < 1e-18:
        return 0.0
    means = np.bincount(codes, weights=values) / np.maximum(np.bincount(codes), 1)
    within = float(((values - means[codes]) ** 2).sum())
    return max(0.0, 1.0 - within / total * (n - 1) / (n - k))


def config_of(row: Mapping[Any, Any]) -> RunConfig:
    """The settings in a row of a table as a RunConfig; ConfigError where they do not fit."""
    flat = {}
    for key in map(str, row):
        if key in field_rules() or (key.startswith(OF_COMPONENTS) and not _absent(row[key])):
            value = row[key]
            whole = isinstance(value, float) and value.is_integer()
            flat[key] = int(value) if whole and _is_whole(key) else value
    return run_config(nest(unspelled(flat)))


def _absent(value: Any) -> bool:
    """A setting of a component that this run did not have."""
    return value is None or value != value  # NaN, in a column of numbers


def _is_whole(key: str) -> bool:
    return key.endswith(("seed", "_every", "early_stopping", "words", "steps", "size", "n_embd"))
