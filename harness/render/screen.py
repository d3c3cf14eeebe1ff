"""How wide what is printed may be."""

from __future__ import annotations

import os

from rich.console import Console

WIDTH = 120  # columns where the output is no terminal and COLUMNS is not set


def screen(*, stderr: bool = False) -> Console:
    """A console as wide as its terminal, or as COLUMNS says; without either of WIDTH columns."""
    out = Console(stderr=stderr, highlight=False)
    if out.is_terminal or "COLUMNS" in os.environ:
        return out
    return Console(stderr=stderr, highlight=False, width=WIDTH)
