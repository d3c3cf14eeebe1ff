"""What is measured: its unit, which direction is good, how it is labelled, where it is shown.

A metric's name is a path: `nll/val`, `init/saturated/hidden.0`. A spec under `nll` is that of every
name below it which has none of its own. Modules hold many each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from harness.components.plugins import offered
from harness.components.registry import Registry, forgetful
from harness.components.spec import Spec

NATS = "nats"  # nats per character, or the data source's own (SourceSpec.unit)
OWN = "loss"  # the unit of the run's own loss
OWN_VIEWS = ("compare", "report", "run", "curves")  # of a user's own metric that names none


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MetricSpec(Spec):
    """One metric, or a family of them. One of a user's own needs `value`.

    value(logits_PV, target_P, weight_P) -> float: of one split in evaluation mode, numpy, float64.
    Axes: P distinct pairs of context and target, V classes. target holds class codes, or -1 and +1
    for binary data (then V = 1); weights are shares of the split's examples and sum to 1. It is
    measured where `train.metrics` names it, at every evaluation on validation and at the end on the
    test split too, as NAME/val and NAME/test; a number that is not finite is left out. None: the
    engine measures it by itself, in every run.
    kind: the data it has a meaning for, "classes" or "binary"; "": both.

    unit: "" where it has none; NATS and OWN stand for units that depend on the data and the loss.
    better: the direction of good, None where neither is. label: a short heading; "": its name.
    when: what it tells of. "start": the data or the first evaluation, so that it means the same
    for a run that diverged or was stopped; "best": the best evaluation; "end": the last.
    series: measured at every evaluation, not at the end alone; live: also shown by MLflow step by
    step; kept: its last point is the run's final value.
    of_data: it follows from the data alone, and is kept once a sweep. timing: it differs between
    two runs of the same numbers. agrees: another platform must meet it within a tolerance.
    counts: what is counted by the counting model whose validation loss it is.
    shown: the views that show it unasked: "compare", "report", "run", "leaderboard", "narrow" (a
    leaderboard in a narrow terminal), "figures" (as a line to hold curves against) and "curves" (in
    the curves of a table of runs). () for one of a user's own: OWN_VIEWS.
    """

    value: Callable[..., float] | None = None
    kind: Literal["classes", "binary", ""] = ""
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    label: str = ""
    when: Literal["start", "best", "end"] = "end"
    series: bool = False
    live: bool = False
    kept: bool = False
    of_data: bool = False
    timing: bool = False
    agrees: bool = False
    counts: str = ""
    shown: tuple[str, ...] = ()

    @property
    def digits(self) -> int:
        """Decimals in a table; a step is a whole number."""
        return 0 if self.unit == "steps" else 4


METRICS: Registry[MetricSpec] = Registry("metric", MetricSpec, __name__, several=True)


def metric_of(name: str) -> MetricSpec:
    """The spec of a measured number by its full name.

    Of one that nobody here knows, as another version may have stored it, a spec that says so in
    `missing`: its numbers can be read and compared all the same.
    """
    return _known(name, offered())


@forgetful
@lru_cache(maxsize=4096)
def _known(name: str, _offered: tuple[bool, tuple[str, ...]]) -> MetricSpec:
    part = name
    while part:
        if part in METRICS:
            return METRICS.get(part)
        part = part.rpartition("/")[0]
    return MetricSpec(missing=f"nothing is known here of the metric {name}")


def heading(name: str) -> str:
    """What a column of this metric is called."""
    return metric_of(name).label or name


@cache
def having(**facts: Any) -> tuple[str, ...]:
    """The full names of built-in metrics with these facts, in the order tables show them."""
    return tuple(select(METRICS.built_in(), **facts))


def select(names: Iterable[str], **facts: Any) -> list[str]:
    """Of these metrics those with all of these facts, in order."""
    return [
        name
        for name in in_order(names)
        if all(getattr(metric_of(name), fact) == value for fact, value in facts.items())
    ]


def in_order(names: Iterable[str]) -> list[str]:
    """These metrics as tables show them: built-in ones in their order, then others as given."""
    given = dict.fromkeys(names)
    own = METRICS.built_in()
    place = {name: i for i, name in enumerate(own)}

    def at(name: str) -> int:
        while name and name not in place:
            name = name.rpartition("/")[0]
        return place.get(name, len(place))

    return sorted(given, key=at)


def shown_in(view: str, names: Iterable[str]) -> list[str]:
    """Of these metrics, those that a view shows unasked; of one of a user's own its validation."""
    return list(_shown_in(view, tuple(names), offered()))


@forgetful
@lru_cache(maxsize=64)  # every run of a sweep has the same metrics
def _shown_in(
    view: str, names: tuple[str, ...], known: tuple[bool, tuple[str, ...]]
) -> tuple[str, ...]:
    return tuple(name for name in in_order(names) if view in _views(name, known))


def untimed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Of these metrics, sorted, those that are no measure of time: equal runs agree in them."""
    return _untimed(names, offered())


@forgetful
@lru_cache(maxsize=64)  # the rows of a sweep have the same columns
def _untimed(names: tuple[str, ...], known: tuple[bool, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not _known(name, known).timing))


def _views(name: str, known: tuple[bool, tuple[str, ...]]) -> tuple[str, ...]:
    family, _, split = name.rpartition("/")
    spec = _known(name, known)
    if family in METRICS and family not in METRICS.built_in() and split == "val":
        return spec.shown or OWN_VIEWS
    return spec.shown if name in METRICS.built_in() else ()
