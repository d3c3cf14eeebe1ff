"""Whether a regularizer's value, gradient and shrink agree, and what it does to zeros."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from harness.components.penalties import PenaltySpec

NEEDS = {
    "gradient": ("value",), "decoupled": ("shrink",), "constraint": ("project",),
    "activation": ("mask",), "none": (),
}  # fmt: skip


def problems(spec: PenaltySpec) -> Iterator[str]:
    """Every inconsistency of one regularizer, in words."""
    lacking = [name for name in NEEDS.get(spec.stage, ()) if getattr(spec, name) is None]
    if spec.stage not in NEEDS or lacking:
        known = ", ".join(NEEDS)
        without = f"; it lacks {', '.join(lacking)}" if lacking else ""
        yield f"stage is {spec.stage!r} (known: {known}){without}"
        return
    rng = torch.Generator().manual_seed(0)
    w = torch.randn(2, 5, 4, generator=rng, dtype=torch.float64)
    if spec.value is not None:
        leaf = w[0].clone().requires_grad_()
        value = spec.value(leaf)
        if value.ndim:
            yield f"value gives the shape {tuple(value.shape)}; it must be one number"
            return
        (want,) = torch.autograd.grad(value, leaf)
        got = w[0] * spec.shrink(w[0].numel()) if spec.shrink is not None else spec.slope(w)[0]
        if not torch.allclose(got, want, rtol=1e-9, atol=1e-12):
            part = "shrink" if spec.shrink is not None else "gradient"
            yield f"{part} differs from autograd through value"
    if spec.project is not None:
        once = w.clone()
        spec.project(once, torch.ones(2, 1, 1, dtype=w.dtype))
        twice = once.clone()
        spec.project(twice, torch.ones(2, 1, 1, dtype=w.dtype))
        if not torch.allclose(once, twice, rtol=1e-12):
            yield "project moves parameters that it has projected before"
    if spec.keeps_zeros:
        zeros, limit = torch.zeros(2, 5, 4, dtype=w.dtype), torch.ones(2, 1, 1, dtype=w.dtype)
        if spec.project is not None:
            spec.project(zeros, limit)
        moved = spec.slope(zeros) if spec.sloped else zeros
        if bool(moved.any()) or bool(zeros.any()):
            yield "keeps_zeros is true, but parameters of 0 do not stay there"
    if spec.mask is not None:
        uniform = torch.rand(2, 50, 40, generator=rng)
        mask = spec.mask(uniform, torch.full((2, 1, 1), 0.1))
        if mask.shape != uniform.shape or bool((mask < 0).any()):
            yield "mask gives another shape than the units have, or a negative multiplier"
