"""Whether an optimizer moves runs apart from each other, down a slope, and not without one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from harness.components.optimizers import OptimizerSpec

NEEDED = {"momentum": 0.9}


def problems(spec: OptimizerSpec) -> Iterator[str]:
    """Every fault of one optimizer, in words."""
    unknown = [name for name in spec.settings if name not in NEEDED]
    if unknown:
        yield f"settings names {', '.join(unknown)}, which check does not know"
        return
    start = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = _run(spec, start)
    for k in range(3):
        if not torch.equal(_run(spec, start[k : k + 1])[0], together[k]):
            yield "a run moves otherwise beside other runs than alone"
            break
    if not together.isfinite().all():
        yield "parameters of a quadratic bowl do not stay finite at a rate of .01"
    elif not float(together.square().sum()) < float(start.square().sum()):
        yield "fifty steps at a rate of .01 do not descend into a quadratic bowl"


def _run(spec: OptimizerSpec, start: torch.Tensor) -> torch.Tensor:
    """Fifty steps of sum w^2 / 2, whose gradient is w."""
    w = start.clone()
    state = [torch.zeros_like(w) for _ in range(spec.slots)]
    scratch = [torch.empty_like(w) for _ in range(spec.buffers)]
    column = torch.full((len(w), 1, 1), 1.0, dtype=w.dtype)
    own = {name: NEEDED[name] * column for name in spec.settings}
    for t in range(50):
        spec.step(w, w.clone(), state, scratch, 0.01 * column, t, **own)
    return w
