"""Packages that load on first use, so that a component's facts cost nothing until they are asked.

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")
"""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """Stands for a module and imports it when one of its names is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # inspection of the stand-in itself must not load anything
            raise AttributeError(attribute)
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next use is as fast as the module's own
        return value


def lazy(name: str) -> Any:
    """The module of this name, imported when one of its names is first used."""
    return Lazy(name)
