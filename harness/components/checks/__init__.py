"""What is inconsistent in a component, told to its author: one module a kind."""

from __future__ import annotations

import importlib

from harness.components.registry import Registry
from harness.components.spec import Spec, bound


def check(spec: Spec) -> list[str]:
    """What is wrong with a component, one sentence each; [] where nothing is found.

        from harness.components import check
        assert check(SPEC) == []

    Facts are compared with each other, never with a table: a gradient with autograd through the
    value, an expectation and its spread with draws of the logits, a standard deviation with drawn
    weights. Settings of its own are at their defaults. Takes a second or two.
    """
    defaults = {name: param.default for name, param in spec.params.items()}
    home = type(spec).__module__
    (registry,) = (
        own for own in vars(importlib.import_module(home)).values() if isinstance(own, Registry)
    )
    if words := registry.unreachable("", spec):
        return [words]
    module = importlib.import_module(f"{__name__}.{home.rpartition('.')[2]}")
    return list(module.problems(bound(spec, defaults)))
