"""Settings as people write them: short names of keys, values as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from harness.components.losses import LOSSES
from harness.components.metrics import NATS as OF_DATA
from harness.components.metrics import OWN, metric_of
from harness.components.sources import NATS, SOURCES


def text(value: Any) -> str:
    """A setting's value: null, true, 0.1, [64,64], mse."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(text(v) for v in value) + "]"
    return str(value)


def short_name(key: str) -> str:
    """The last part of a key, or its group for a .name: weight_scale, loss."""
    group, _, last = key.rpartition(".")
    return group if last == "name" else last


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key's short name; the whole key where two would look alike."""
    counts = Counter(map(short_name, keys))
    return {key: key if counts[short_name(key)] > 1 else short_name(key) for key in keys}


def nll_unit(sources: Iterable[Any]) -> str:
    """The unit of nll/* in runs on these data sources; that of words where theirs differ."""
    units = {SOURCES.get(name).unit for name in set(sources) if name in SOURCES}
    return units.pop() if len(units) == 1 else NATS


def loss_unit(loss: Any, source: Any) -> str:
    """The unit of a loss's value on this data source; "" where it has none."""
    if loss not in LOSSES:
        return ""
    spec = LOSSES.get(loss)
    return nll_unit([source]) if spec.likelihood else spec.unit


def unit_of(metric: str, *, loss: Any, source: Any) -> str:
    """The unit of a metric's values in a run with this loss on this data source; "" without one."""
    unit = metric_of(metric).unit
    if unit == OWN:
        return loss_unit(loss, source)
    return nll_unit([source]) if unit == OF_DATA else unit
