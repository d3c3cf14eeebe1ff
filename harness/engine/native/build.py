"""Builds the kernels on the machine that runs them, once, and loads them.

The library is compiled for this very processor (-march=native) in a second or two and kept in the
user's cache under a hash of source, flags, compiler and processor. A file there is renamed into
place whole, so that many processes may build at once, and loaded only if it and its folder are the
user's own and nobody else may write to them.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.errors import HarnessError
from harness.paths import cache_folder
from harness.system import instructions, processor

SOURCES = Path(__file__).parent
COMPILERS = ("g++", "clang++", "c++")  # tried in this order, after $CXX
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-ffp-contract=fast", "-fno-math-errno",
         "-fvisibility=hidden")  # fmt: skip
SECONDS = 120  # after which a compiler is given up
NUMBERS = {"float32": "float", "float64": "double"}


class NoKernelError(HarnessError):
    """The kernels cannot be had on this machine; the message says why and what to do."""


@functools.cache
def library(dtype: str, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The kernels for "float32" or "float64", built if need be; NoKernelError without.

    extra: further flags for the compiler, such as -DVECTOR_BYTES=16.
    """
    path = built(dtype, extra)
    for thing in (path.parent, path):
        _check(thing)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoKernelError(f"{path} cannot be loaded: {error}") from None


def built(dtype: str, extra: tuple[str, ...] = ()) -> Path:
    """Where the library is; it is compiled first where it is not there yet."""
    folder = cache_folder() / "kernels"
    path = folder / f"{identity(extra)}-{dtype}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as temporary:
            made = Path(temporary) / path.name
            _compile(made, (*flags(), *extra, f"-DNUMBER={NUMBERS[dtype]}"))
            made.chmod(0o500)
            made.replace(path)
    except OSError as error:
        raise NoKernelError(f"{folder} cannot be written: {error.strerror}.") from None
    return path


@functools.cache
def identity(extra: tuple[str, ...] = ()) -> str:
    """16 hex digits: equal ones compute the same bits on the same processor."""
    parts = [" ".join((*flags(), *extra)), compiler()[1], platform.machine(), processor()]
    parts.append(instructions())
    parts += [path.read_text(encoding="utf-8") for path in source_files()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def source_files() -> list[Path]:
    """What the library is made of."""
    return sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp")])


def flags() -> tuple[str, ...]:
    """The compiler's flags on this machine."""
    arm = platform.machine() in ("aarch64", "arm64")
    return (*FLAGS, "-mcpu=native" if arm else "-march=native")


@functools.cache
def compiler() -> tuple[str, str]:
    """(path, version) of the C++ compiler; NoKernelError where there is none."""
    for name in filter(None, (os.environ.get("CXX"), *COMPILERS)):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            asked = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return path, asked.stdout
    raise NoKernelError(
        "no C++ compiler was found; install one (apt install g++, dnf install gcc-c++, or "
        "xcode-select --install)"
    )


def _compile(made: Path, options: tuple[str, ...]) -> None:
    command = [compiler()[0], *options, str(SOURCES / "kernels.cpp"), "-o", str(made)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except subprocess.TimeoutExpired:
        raise NoKernelError(f"{command[0]} did not finish within {SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines() or ["it said nothing"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise NoKernelError(f"{command[0]} cannot build the kernels: {first}") from None


def _check(path: Path) -> None:
    """NoKernelError unless a file or folder is this user's own, and closed to others' writing."""
    if not hasattr(os, "geteuid"):  # Windows
        return
    found = path.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise NoKernelError(
            f"{path} belongs to someone else or others may write to it, so it is not loaded; "
            "remove it, and it is built again"
        )
