"""What is measured: its unit, its better direction, how it is labelled. Modules hold many each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricSpec(Spec):
    """One metric, or a family of them whose name ends in "/*" (a layer, a split).

    unit: as a table prints it, "" where there is none. better: the direction of good, None where
    neither is. label: for figures and headings. series: logged over steps, not only at the end.
    survives_divergence: still means something for a run that diverged.
    """

    label: str = ""
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    series: bool = False
    survives_divergence: bool = False


METRICS: Registry[MetricSpec] = Registry("metric", MetricSpec, __name__, several=True)
