"""Successive halving of a sweep: at each rung the worse configurations are dropped.

Configurations are judged by the mean over their seeds of the yardstick so far. Nothing of a
survivor knows of it: runs pause as checkpoints and go on from there, bit for bit. What is dropped
stays a checkpoint, which a later sweep without halving completes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.components.losses import LOSSES
from harness.config.run import RunConfig
from harness.config.settings import Halving
from harness.execution.rungs import Rung
from harness.records.ledger import Ledger

RAW, CALIBRATED = "nll/val", "nll_calibrated/val"  # the series behind the yardstick
Train = Callable[[Mapping[str, RunConfig], Rung | None], None]


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in seeds alone, in the grid's order."""

    runs: Mapping[str, RunConfig]

    @property
    def loss(self) -> str:
        """The loss of all of them."""
        return next(iter(self.runs.values())).loss.name


@dataclass
class Halved:
    """What became of a sweep: run id -> the step at which it was dropped; notes for a person."""

    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def halve(
    found: Sequence[Configuration], settings: Halving, ledger: Ledger, train: Train,
    stopping: Callable[[], bool],
) -> Halved:  # fmt: skip
    """Train configurations rung by rung, and those that stay to their end.

    train(runs, rung) trains runs until they pause there, or to their end; it returns early once
    `stopping()` is true.
    """
    assert settings.factor is not None
    out, alive = Halved(), list(found)
    for i in range(settings.rungs, 0, -1):
        rung = Rung(settings.factor, i)
        if all(rung.step(run) is None for one in alive for run in one.runs.values()):
            continue
        train(_runs(alive), rung)
        if stopping():
            return out
        stays = _stay(alive, rung, ledger)
        for one in alive:
            if one not in stays:
                finished = ledger.finished(one.runs)
                steps = {r: rung.step(run) or 0 for r, run in one.runs.items() if r not in finished}
                out.dropped |= steps
        at = sorted({rung.step(run) or run.train.steps for run in _runs(alive).values()})
        told = str(at[0]) if len(at) == 1 else f"{at[0]} to {at[-1]}"
        out.notes.append(f"step {told}: {len(stays)} of {len(alive)} configurations stay")
        alive = stays
    train(_runs(alive), None)
    return out


def _runs(found: Sequence[Configuration]) -> dict[str, RunConfig]:
    return {run_id: run for one in found for run_id, run in one.runs.items()}


def _stay(alive: Sequence[Configuration], rung: Rung, ledger: Ledger) -> list[Configuration]:
    """The best ceil(n / factor), in the grid's order; ties go to what comes first.

    Where losses differ and have no calibrated NLL on the way, each loss is judged apart.
    """
    likely = all(LOSSES.get(one.loss).likelihood for one in alive)
    values = {id(one): _value(one, rung, ledger, RAW if likely else CALIBRATED) for one in alive}
    apart = any(value is None for value in values.values())
    if apart:
        values = {id(one): _value(one, rung, ledger, RAW) for one in alive}
    groups: dict[str, list[Configuration]] = {}
    for one in alive:
        groups.setdefault(one.loss if apart else "", []).append(one)
    kept = set()
    for group in groups.values():
        ranked = sorted(group, key=lambda one: _or_inf(values[id(one)]))
        kept |= {id(one) for one in ranked[: math.ceil(len(group) / rung.factor)]}
    return [one for one in alive if id(one) in kept]


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else value


def _value(one: Configuration, rung: Rung, ledger: Ledger, metric: str) -> float | None:
    """Mean over seeds of the best so far; inf where one diverged, None without such a series."""
    found = [
        best_so_far(run_id, rung.step(run) or run.train.steps, ledger, metric)
        for run_id, run in one.runs.items()
    ]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if len(known) == len(found) else None


def best_so_far(run_id: str, limit: float, ledger: Ledger, metric: str) -> float | None:
    """The least value of a series up to a step, from a run's record or its checkpoint.

    inf where the run diverged by then or there is nothing of it; None where it has no such series.
    """
    record = ledger.read(run_id, weights=False)
    if record is not None:
        series = record.series
        ended = max(series["nll/train"][0], default=0) <= limit
        diverged = record.verdict == "diverged" and ended
    else:
        state = ledger.load_checkpoint(run_id)
        if state is None:
            return math.inf
        diverged, series = state["meta"]["diverged"] is not None, state["series"]
    if diverged:
        return math.inf
    if metric not in series:
        return None
    steps, values = series[metric]
    seen = [float(v) for s, v in zip(steps, values, strict=True) if s <= limit]
    return min(seen, default=math.inf)
