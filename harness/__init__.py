"""A laboratory for initial loss and overfitting; names load on first use, so this import is cheap.

from harness import Init, RunConfig, train
records = train([RunConfig(seed=s, init=Init(weight_scale=g)) for s in (0, 1) for g in (0.1, 1)])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harness.system import check_platform

__version__ = "0.1.0"

_NAMES = {
    "errors": ("ConfigError", "DataError", "HarnessError"),
    "components": ("InitSpec", "LossSpec", "register"),
    "config.groups": ("Data", "Engine", "Init", "Loss", "Model", "Optim", "Reg", "Train"),
    "config.run": ("RunConfig", "run_config"),
    "config.settings": ("Tracking",),
    "data.dataset": ("Dataset", "load_data"),
    "theory.initial_loss": ("expected_initial_loss",),
    "records.record": ("RunRecord",),
    "records.ledger": ("Ledger",),
    "tracking.session": ("train",),
    "analysis.lookup": ("load_run",),
    "analysis.sampling": ("sample",),
    "analysis.sources": ("read_sweep",),
    "render.figures.boundary": ("plot_boundary",),
    "analysis.frames": ("records_frame",),
    "render.printed": ("compare",),
    "render.figures.marks": ("Drawing",),
    "render.plots": ("plot",),
    "render.figures.run": ("plot_insides",),
}
# no name here is also a module's: importing that module would replace the name
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_HOMES]

if TYPE_CHECKING:  # each again as itself: what a type checker takes as exported
    from harness.analysis.frames import records_frame as records_frame
    from harness.analysis.lookup import load_run as load_run
    from harness.analysis.sampling import sample as sample
    from harness.analysis.sources import read_sweep as read_sweep
    from harness.components import InitSpec as InitSpec
    from harness.components import LossSpec as LossSpec
    from harness.components import register as register
    from harness.config.groups import Data as Data
    from harness.config.groups import Engine as Engine
    from harness.config.groups import Init as Init
    from harness.config.groups import Loss as Loss
    from harness.config.groups import Model as Model
    from harness.config.groups import Optim as Optim
    from harness.config.groups import Reg as Reg
    from harness.config.groups import Train as Train
    from harness.config.run import RunConfig as RunConfig
    from harness.config.run import run_config as run_config
    from harness.config.settings import Tracking as Tracking
    from harness.data.dataset import Dataset as Dataset
    from harness.data.dataset import load_data as load_data
    from harness.errors import ConfigError as ConfigError
    from harness.errors import DataError as DataError
    from harness.errors import HarnessError as HarnessError
    from harness.records.ledger import Ledger as Ledger
    from harness.records.record import RunRecord as RunRecord
    from harness.render.figures.boundary import plot_boundary as plot_boundary
    from harness.render.figures.marks import Drawing as Drawing
    from harness.render.figures.run import plot_insides as plot_insides
    from harness.render.plots import plot as plot
    from harness.render.printed import compare as compare
    from harness.theory.initial_loss import expected_initial_loss as expected_initial_loss
    from harness.tracking.session import train as train


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    check_platform()
    value = getattr(importlib.import_module(f"harness.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
