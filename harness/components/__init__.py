"""What a name in a configuration stands for: losses, inits, penalties, optimizers and the rest.

Each kind has a package: its `__init__` holds the spec, which says all that can be known of one such
component, and the registry; every other module in it is one component. To add one is to add one
module. A package of your own adds one by an entry point; see docs/plugins.md.
"""

from harness.components.activations import ActivationSpec
from harness.components.biases import BiasSpec
from harness.components.inits import InitSpec
from harness.components.losses import LOSSES, LossSpec
from harness.components.metrics import MetricSpec
from harness.components.optimizers import OptimizerSpec
from harness.components.params import Param
from harness.components.penalties import PenaltySpec
from harness.components.schedules import ScheduleSpec
from harness.components.sources import SourceSpec

__all__ = [
    "LOSSES", "ActivationSpec", "BiasSpec", "InitSpec", "LossSpec", "MetricSpec", "OptimizerSpec",
    "Param", "PenaltySpec", "ScheduleSpec", "SourceSpec",
]  # fmt: skip
