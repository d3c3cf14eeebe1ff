"""What this machine is: memory, cores, processes, locks, and what decides the last bit of a number.

Linux and macOS: what one of them lacks has another answer here, and no other module asks for it.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

from harness.errors import HarnessError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

KEYS = ("torch", "numpy", "machine", "cpu", "device", "kernel")  # equal in all: equal bits
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # containers
PROC = Path("/proc")  # Linux alone has it
PLATFORMS = (
    "harness runs on Linux and macOS; on Windows, install it in WSL, the Linux that comes with it "
    "(https://learn.microsoft.com/windows/wsl)."
)


def check_platform() -> None:
    """HarnessError on Windows."""
    if sys.platform == "win32":
        raise HarnessError(PLATFORMS)


def cores() -> int:
    """How many processor cores this process may use; on macOS, how many there are."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def lock(handle: int, *, wait: bool) -> bool:
    """Take the exclusive lock (flock) of an open file or folder; the system drops it with us.

    Whether it was had: False where another process has it, unless `wait`. HarnessError where the
    system knows no such locks, OSError where the file's disk does not.
    """
    if fcntl is None:
        raise HarnessError(PLATFORMS)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def started(pid: int) -> str:
    """When a process began, in the system's own words; "" where there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return _said("ps", "-o", "lstart=", "-p", str(pid))


def command(pid: int) -> str:
    """The command line of a process; "" where there is no such process."""
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return _said("ps", "-o", "command=", "-p", str(pid))


def _said(*words: str) -> str:
    """What a command prints, without its line's end; "" where it fails or is missing."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def total_memory() -> int | None:
    """Bytes of memory that this process may have at most; None where the system does not say."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):
        return None
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
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    name = names[0] if names else _said("sysctl", "-n", "machdep.cpu.brand_string")
    return name or platform.processor() or "unknown"


def instructions() -> str:
    """The instruction sets that the system reports, as it spells them; "" where it does not."""
    return next((line for line in _cpuinfo() if line.startswith(("flags", "Features"))), "")


def _cpuinfo() -> list[str]:
    try:
        return (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
