"""Measured numbers as text, with as many digits as say something."""

from __future__ import annotations

import math


def number(value: float, digits: int = 3) -> str:
    """About so many significant digits: 2.41, 0.0123, 26.4; "-" where it is not finite."""
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(places, 5)}f}"


def fixed(value: float, decimals: int = 4) -> str:
    """So many decimals where they say something, otherwise four significant digits."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.{decimals}f}"
    return f"{value:.4g}"
