"""How much memory this machine has: asked before anything large is made."""

from __future__ import annotations

import os
from pathlib import Path

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # containers


def total() -> int | None:
    """Bytes of memory that this process may have at most; None where the system does not say."""
    if not hasattr(os, "sysconf"):  # Windows
        return None
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in LIMITS:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdigit():  # "max": no limit
            found.append(int(text))
    return min(found)


def gib(size: float) -> str:
    """Bytes as an error message gives them: "32.0 GiB", "1.5 MiB"."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
