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
    "Data": "config", "Engine": "config", "Init": "config", "Loss": "config", "Model": "config",
    "Optim": "config", "Reg": "config", "RunConfig": "config", "Train": "config",
    "run_config": "config",
    "Dataset": "data.dataset", "load_data": "data.dataset",
    "expected_initial_loss": "theory.initial_loss",
    "train": "engine.training",
    "RunRecord": "store.records",
    "Ledger": "store.ledger",
    "compare": "results.comparison",
    "load_run": "results.lookup",
}  # fmt: skip
# no name here is also a module's: importing that module would replace the name

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from harness.config import (
        Data as Data,
    )
    from harness.config import (
        Engine as Engine,
    )
    from harness.config import (
        Init as Init,
    )
    from harness.config import (
        Loss as Loss,
    )
    from harness.config import (
        Model as Model,
    )
    from harness.config import (
        Optim as Optim,
    )
    from harness.config import (
        Reg as Reg,
    )
    from harness.config import (
        RunConfig as RunConfig,
    )
    from harness.config import (
        Train as Train,
    )
    from harness.config import (
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
