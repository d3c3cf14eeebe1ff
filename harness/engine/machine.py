"""What decides the last bit of a number beside settings and data: libraries and processor."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

KEYS = ("torch", "numpy", "machine", "cpu", "device")  # equal in all of these: equal bits


@functools.cache
def same_bits(device: str = "cpu") -> dict[str, str]:
    """The `KEYS` of this machine; runs on machines that agree in them agree to the last bit.

    cpu is the processor's name and the instruction set that torch's kernels use here.
    """
    import numpy as np
    import torch

    kind = device.partition(":")[0]
    chip = f"{_processor()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu": torch.cuda.get_device_name() if kind == "cuda" else chip,
        "device": kind,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
