"""A metric is words alone; what can be wrong is its direction."""

from __future__ import annotations

from collections.abc import Iterator

from harness.components.metrics import MetricSpec


def problems(spec: MetricSpec) -> Iterator[str]:
    """Every fault of one metric, in words."""
    if spec.better not in ("lower", "higher", None):
        yield f"better is {spec.better!r}; allowed: 'lower', 'higher', or None"
