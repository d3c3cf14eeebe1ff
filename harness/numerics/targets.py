"""Distributions of a target: smoothed shares, their entropy, the two labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.numerics.quadrature import Array

Target = Sequence[float] | Array | None  # shares (V,); None: all equal


def target_shares(target: Target, V: int, smoothing: float = 0.0) -> Array:
    """Mean target distribution (V,), smoothed: (1 - a) shares + a / V."""
    u = np.full(V, 1 / V) if target is None else np.asarray(target, float)
    return (1 - smoothing) * u + smoothing / V


def target_square(V: int, smoothing: float) -> float:
    """sum_v t_v^2 of one smoothed target."""
    keep = (1 - smoothing) ** 2
    return keep + (1 - keep) / V


def label_shares(target: Target) -> tuple[float, float]:
    """(share of -1, share of +1) of a binary target."""
    return (0.5, 0.5) if target is None else (float(target[0]), float(target[1]))


def entropy(p: Array) -> float:
    """-sum p ln p, nats; 0 ln 0 = 0."""
    kept = p[p > 0]
    return -float(kept @ np.log(kept))


def spread_around(p: Array, smoothing: float, *, summed: bool) -> float:
    """E sum_v (t_v - E t_v)^2 of a smoothed target with shares p (V,); over V unless summed."""
    V = len(p)
    t = (1 - smoothing) * p + smoothing / V
    size = 1.0 if summed else 1.0 / V
    return (target_square(V, smoothing) - float(t @ t)) * size
