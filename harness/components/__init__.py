"""What a name in a configuration stands for: losses, inits, penalties, optimizers and the rest.

Each kind has a package: its `__init__` holds the spec, which says all that can be known of one such
component, and the registry; every other module in it is one component. To add one is to add one
module. A package of your own adds one by an entry point; see docs/plugins.md.
"""

from __future__ import annotations

from typing import Any

from harness.components.activations import ACTIVATIONS, ActivationSpec
from harness.components.biases import BIASES, BiasSpec
from harness.components.checks import check
from harness.components.inits import INITS, InitSpec
from harness.components.losses import LOSSES, LossSpec
from harness.components.metrics import METRICS, MetricSpec
from harness.components.optimizers import OPTIMIZERS, OptimizerSpec
from harness.components.params import Param
from harness.components.penalties import PENALTIES, PenaltySpec
from harness.components.registry import Registry
from harness.components.schedules import SCHEDULES, ScheduleSpec
from harness.components.sources import SOURCES, SourceSpec
from harness.components.spec import Spec
from harness.errors import ConfigError

__all__ = [
    "ACTIVATIONS", "BIASES", "INITS", "LOSSES", "METRICS", "OPTIMIZERS", "PENALTIES", "REGISTRIES",
    "SCHEDULES", "SOURCES", "ActivationSpec", "BiasSpec", "InitSpec", "LossSpec", "MetricSpec",
    "OptimizerSpec", "Param", "PenaltySpec", "ScheduleSpec", "SourceSpec", "check", "register",
]  # fmt: skip

REGISTRIES: dict[str, Registry[Any]] = {
    registry.group.removeprefix("harness."): registry
    for registry in (
        LOSSES, INITS, BIASES, PENALTIES, OPTIMIZERS, SCHEDULES, ACTIVATIONS, SOURCES, METRICS,
    )
}  # fmt: skip


def register(name: str, spec: Spec) -> None:
    """Add a component of your own under a new name, for this process alone.

        register("halved", LossSpec(value=...))

    Worker processes of a sweep do not see it: `harness.train` trains with it, a plug-in package
    (docs/plugins.md) serves everywhere. ConfigError for a name that is taken.
    """
    for registry in REGISTRIES.values():
        if isinstance(spec, registry.spec):
            registry.register(name, spec)
            return
    kinds = ", ".join(registry.spec.__name__ for registry in REGISTRIES.values())
    raise ConfigError(f"{name!r} is of type {type(spec).__name__}; allowed: {kinds}.")
