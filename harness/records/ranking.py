"""The best run: by which number runs are compared, and configurations in that order.

Leaderboards, comparisons, reports, the weights that are kept and the model that is served all ask
here. A row is one flat mapping a run, as `records.table_row` gives it; a configuration is all runs
that share a config_id, which differ in seeds alone and are folded first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.components.losses import LOSSES
from harness.components.metrics import untimed
from harness.numerics.digits import fixed
from harness.numerics.folding import Estimate, estimate
from harness.records import partial
from harness.records.partial import counts, ended_early

Row = Mapping[str, Any]
RAW = ("best/nll_val", "nll/val", "loss/val", "nll/train")  # the first that is known; no
# validation examples, no validation numbers
CALIBRATED = ("best/nll_calibrated_val", "nll_calibrated/val")
READ = ("run_id", "config_id", "loss.name", *RAW, *CALIBRATED, *partial.READ)  # columns
Reason = Literal["likelihood", "calibrated", "apart"]


@dataclass(frozen=True)
class Yardstick:
    """What runs are compared by; lower is better unless `higher`.

    reason: "likelihood": all losses are likelihoods of the softmax, so their NLL is compared as it
    is; "calibrated": others are among them, whose outputs are no log-probabilities, so all are
    calibrated first; "apart": some run lacks that, so runs of one loss alone are compared.
    """

    metric: str
    reason: Reason
    losses: tuple[str, ...]
    higher: bool = False

    @property
    def apart(self) -> bool:
        """Whether each loss has a ranking of its own."""
        return self.reason == "apart" and len(self.losses) > 1

    def __str__(self) -> str:
        if self.reason == "calibrated":
            why = "losses differ" if len(self.losses) > 1 else f"{self.losses[0]}: raw outputs"
            return f"{self.metric} ({why}, so outputs are calibrated first)"
        if self.apart:
            return (
                f"{self.metric}, each loss apart (to compare losses, outputs must be calibrated, "
                "and some runs had too few validation examples for that or were stopped early)"
            )
        return self.metric


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One configuration: its runs, their yardstick, and its best run.

    runs: ids in the order given; lost: how many of them diverged, were dropped or lack the metric,
    and are not in `value`; best_run: the run with the lowest value, None where all were lost.
    """

    config_id: Any
    loss: str
    runs: tuple[str, ...]
    places: tuple[int, ...]  # of its runs among the rows given
    value: Estimate
    lost: int
    best_run: str | None


@dataclass(frozen=True)
class Ranking:
    """Configurations, best first; those of which a run was lost come after all others.

    With a yardstick that holds within a loss, losses follow each other as they were given.
    """

    yardstick: Yardstick
    standings: tuple[Standing, ...]

    @property
    def best(self) -> Standing | None:
        """The best configuration; None where no run may be compared, or no loss with another."""
        first = self.standings[0] if self.standings else None
        if first is None or first.best_run is None or self.yardstick.apart:
            return None
        return first

    @property
    def bests(self) -> tuple[Standing, ...]:
        """The best configuration, or of each loss the best where losses are not comparable."""
        seen: dict[str, Standing] = {}
        for standing in self.standings:
            if standing.best_run is not None:
                seen.setdefault(standing.loss if self.yardstick.apart else "", standing)
        return tuple(seen.values())

    @property
    def best_runs(self) -> tuple[str, ...]:
        """Ids of the best runs of `bests`."""
        return tuple(s.best_run for s in self.bests if s.best_run is not None)

    def among(self, standing: Standing) -> str:
        """Of how many configurations this one is the best: "best of 12 configurations"."""
        apart = self.yardstick.apart
        n = sum(not apart or other.loss == standing.loss for other in self.standings)
        of = f"best of {n:,} configurations" if n > 1 else "the only configuration"
        return f"{of} with {standing.loss}" if apart else of

    def words(self, standing: Standing) -> str:
        """A best configuration's value, and of how many it is the best by what."""
        value = standing.value
        assert value.mean is not None
        spread = (
            f" ± {fixed(value.half)}, mean of {value.n} seeds" if value.half is not None else ""
        )
        found = f"{self.among(standing)} by {self.yardstick}"
        return f"{found[0].upper()}{found[1:]}: {fixed(value.mean)}{spread}"


def yardstick(rows: Iterable[Row]) -> Yardstick:
    """What these runs are compared by (see Yardstick); diverged and dropped ones have no say."""
    known = [row for row in rows if any(measured(row, name) is not None for name in RAW)]
    losses = tuple(dict.fromkeys(map(_loss, known)))
    raw = next((n for n in RAW if any(measured(row, n) is not None for row in known)), RAW[0])
    if all(loss in LOSSES and LOSSES.get(loss).likelihood for loss in losses):
        return Yardstick(raw, "likelihood", losses)
    for name in CALIBRATED:
        if all(measured(row, name) is not None for row in known):
            return Yardstick(name, "calibrated", losses)
    return Yardstick(raw, "apart", losses)


def ranking(
    rows: Sequence[Row], *, by: Yardstick | None = None, groups: Sequence[Any] | None = None
) -> Ranking:
    """Finished runs folded over seeds and put in order, ties as they were given.

    by: default the yardstick of these rows. groups: per row, what is folded into one; default its
    config_id.
    """
    by = by or yardstick(rows)
    members: dict[Any, list[int]] = {}
    for place, row in enumerate(rows):
        config = row["config_id"] if groups is None else groups[place]
        members.setdefault(config, []).append(place)
    standings = [_standing(config, places, rows, by) for config, places in members.items()]
    losses = {standing.loss: i for i, standing in reversed(list(enumerate(standings)))}

    def order(standing: Standing) -> tuple[int, bool, bool, float]:
        mean = standing.value.mean
        loss = losses[standing.loss] if by.apart else 0
        value = 0.0 if mean is None else -mean if by.higher else mean
        return loss, mean is None, standing.lost > 0, value

    return Ranking(by, tuple(sorted(standings, key=order)))


def best_runs(rows: Iterable[Row]) -> tuple[str, ...]:
    """Ids of the best run of the best configuration, or of each loss (see Ranking.best_runs)."""
    return ranking(list(rows)).best_runs


def _standing(config: Any, places: Sequence[int], rows: Sequence[Row], by: Yardstick) -> Standing:
    values = {rows[place]["run_id"]: measured(rows[place], by.metric) for place in places}
    known = {run_id: value for run_id, value in values.items() if value is not None}
    best = max if by.higher else min
    return Standing(
        config_id=config,
        loss=_loss(rows[places[0]]),
        runs=tuple(rows[place]["run_id"] for place in places),
        places=tuple(places),
        value=estimate(list(known.values())),
        lost=len(places) - len(known),
        best_run=best(known, key=known.__getitem__, default=None),
    )


def measured(row: Row, metric: str) -> float | None:
    """A run's value where it has one that may be compared (see partial.counts)."""
    value = row.get(metric)
    if (
        not isinstance(value, (int, float))
        or value != value
        or not counts(metric, ended_early(row))
    ):
        return None
    return float(value)


def fingerprint(rows: Sequence[Row]) -> tuple[Any, ...]:
    """What equal configurations share: every number of each of their runs, timings aside.

    One of which a run diverged is like no other: what tells it from them is what it lacks.
    """
    runs = [
        (
            str(row["verdict"]),
            *((k, row[k]) for k in untimed(tuple(row)) if "/" in k and _is_number(row[k])),
        )
        for row in rows
    ]
    own = tuple(row["run_id"] for row in rows if ended_early(row) == partial.DIVERGED)
    return (own, *sorted(runs))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and value == value


def _loss(row: Row) -> str:
    return str(row.get("loss.name", "cross_entropy"))
