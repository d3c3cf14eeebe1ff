"""Whether an activation's forms agree: torch, numpy, on buffers, backward."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from harness.components.activations import ActivationSpec


def problems(spec: ActivationSpec) -> Iterator[str]:
    """Every inconsistency of one activation, in words."""
    x = torch.linspace(-6.0, 6.0, 482, dtype=torch.float64)  # even: no node at a kink at 0
    leaf = x.clone().requires_grad_()
    want = spec.function(leaf)
    if want.shape != x.shape:
        yield f"function gives the shape {tuple(want.shape)} for {tuple(x.shape)}"
        return
    (slope,) = torch.autograd.grad(want.sum(), leaf)
    want = want.detach()
    if not np.allclose(spec.values(x.numpy()), want.numpy(), rtol=1e-9, atol=1e-12):
        yield "array differs from function"
    pre = x * spec.scale
    out = torch.empty_like(pre) if spec.keeps_pre else pre
    spec.apply(pre, out)
    if not torch.allclose(out, want, rtol=1e-9, atol=1e-12):
        yield "forward differs from function"
    d = torch.ones_like(x)
    spec.differentiate(d, pre, out)
    if not torch.allclose(d, slope, rtol=1e-9, atol=1e-12):
        yield "backward differs from autograd through function"
    flags = spec.flags(out, pre)
    if flags is not None and (flags.dtype != torch.bool or flags.shape != x.shape):
        yield f"saturated gives {flags.dtype} of shape {tuple(flags.shape)}; a mask is needed"
    module = spec.build()
    if not torch.allclose(module(x), want, rtol=1e-9, atol=1e-12):
        yield "module differs from function"
