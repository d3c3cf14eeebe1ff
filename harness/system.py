"""What this machine is: its memory, and what decides the last bit of a number."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

KEYS = ("torch", "numpy", "machine", "cpu", "device", "kernel")  # equal in all: equal bits
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # containers


def total_memory() -> int | None:
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


@functools.cache
def same_bits(device: str = "cpu") -> dict[str, str]:
    """The `KEYS` of this machine but the kernel; equal in all, runs agree to the last bit.

    cpu is the processor's name and the instruction set that torch's kernels use here.
    """
    import numpy as np
    import torch

    kind = device.partition(":")[0]
    chip = f"{processor()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu": torch.cuda.get_device_name() if kind == "cuda" else chip,
        "device": kind,
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def instructions() -> str:
    """The instruction sets that the system reports, as it spells them; "" where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
