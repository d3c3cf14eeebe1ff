"""What is inconsistent in a component, told to its author: one module a kind."""

from __future__ import annotations

import importlib

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
    kind = type(spec).__module__.rpartition(".")[2]
    module = importlib.import_module(f"{__name__}.{kind}")
    return list(module.problems(bound(spec, defaults)))
