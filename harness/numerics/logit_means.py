"""Means of what losses are made of, under a law of the logits: softplus and positive part."""

from __future__ import annotations

import math

import numpy as np

from harness.numerics.logit_law import LogitLaw
from harness.numerics.quadrature import Array, cdf, mean_positive_part


def softplus(mean: Array, law: LogitLaw) -> Array:
    """E log(1 + e^(mean + noise)) for each mean.

    The positive part in closed form, and the smooth rest log(1 + e^-|z|), which past a width of
    one is integrated over z instead of over the noise.
    """
    if law.noise == 0:
        return np.logaddexp(0.0, mean)
    if law.noise <= 1:
        z, w = law.noise_nodes(87)
        return np.logaddexp(0.0, mean[:, None] + z) @ w
    z = np.linspace(0.0, 40.0, 4001)
    rest = np.log1p(np.exp(-z))
    weight = np.full(z.shape, 0.01)
    weight[0] = weight[-1] = 0.005
    dense = law.noise_pdf(z - mean[:, None]) + law.noise_pdf(-z - mean[:, None])
    return positive_part(mean, law) + dense @ (weight * rest)


def positive_part(mean: Array, law: LogitLaw) -> Array:
    """E max(0, mean + noise) for each mean."""
    c = law.half_width
    if c == 0:
        return mean_positive_part(mean, law.std)

    def integral(x: Array) -> Array:  # of E max(0, x + std * normal)
        if law.std == 0:
            return np.maximum(x, 0.0) ** 2 / 2
        t = x / law.std
        density = np.exp(-0.5 * np.minimum(np.abs(t), 1e3) ** 2) / math.sqrt(2 * math.pi)
        return ((x * x + law.std**2) * cdf(t) + x * law.std * density) / 2

    return (integral(mean + c) - integral(mean - c)) / (2 * c)
