"""A laboratory for initial loss and overfitting; names load on first use, so this import is cheap.

from harness import Init, RunConfig, train
records = train([RunConfig(seed=s, init=Init(weight_scale=g)) for s in (0, 1) for g in (0.1, 1)])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ConfigError": "errors", "DataError": "errors", "HarnessError": "errors",
    "Data": "config.run", "Engine": "config.run", "Init": "config.run", "Loss": "config.run",
    "Model": "config.run", "Optim": "config.run", "Reg": "config.run", "RunConfig": "config.run",
    "Train": "config.run", "run_config": "config.run",
    "Dataset": "data.dataset", "load_data": "data.dataset",
    "LossSpec": "components", "InitSpec": "components", "register": "components",
    "expected_initial_loss": "theory.initial_loss",
    "train": "tracking.session", "Tracking": "config.settings",
    "RunRecord": "records.record",
    "Ledger": "records.ledger",
    "compare": "render.compare_table",
    "load_run": "analysis.lookup",
    "read_sweep": "analysis.sources",
}  # fmt: skip
# no name here is also a module's: importing that module would replace the name

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from harness.config.run import (
        Data as Data,
    )
    from harness.config.run import (
        Engine as Engine,
    )
    from harness.config.run import (
        Init as Init,
    )
    from harness.config.run import (
        Loss as Loss,
    )
    from harness.config.run import (
        Model as Model,
    )
    from harness.config.run import (
        Optim as Optim,
    )
    from harness.config.run import (
        Reg as Reg,
    )
    from harness.config.run import (
        RunConfig as RunConfig,
    )
    from harness.config.run import (
        Train as Train,
    )
    from harness.config.run import (
        run_config as run_config,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"harness.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
