"""The C structures and functions of kernels.cpp, as ctypes sees them: same order, same names."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, c_double, c_int64, c_void_p
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.engine.native.build import NoKernelError, library

MOST_LAYERS, MOST_PARTS = 65, 3
FORWARD, BACKWARD = 1, 2


Fields = list[tuple[str, Any]]


def _numbers(kind: Any, names: str) -> Fields:
    return [(name, kind) for name in names.split()]


class Layer(Structure):
    """Sizes, and offsets in a run's block; -1: absent."""

    _fields_: ClassVar[Fields] = _numbers(
        c_int64, "inputs outputs weight bias gamma beta mean variance"
    )


class Segment(Structure):
    """One trained tensor of a block."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_int64, "offset size embedded"),
        ("times", c_double),
    ]


class Program(Structure):
    """What the runs of a chunk share."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_int64, "rows context embed symbols layers segments activation optimizer"),
        *_numbers(c_int64, "trained size"),
        ("optimizer_settings", c_double * 4),
        ("layer", Layer * MOST_LAYERS),
        ("segment", Segment * (4 * MOST_LAYERS)),
    ]


class Run(Structure):
    """One run: addresses of its arrays, and its own numbers; the last line is Wanted."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_void_p, "block slot0 slot1 buffers"),
        ("loss", c_int64),
        *_numbers(c_double, "smoothing share scale momentum"),
        ("drop_below", c_int64),
        ("keep", c_double),
        *_numbers(c_void_p, "bits table targets examples rate embed_rate penalties watch"),
        ("links", c_int64),
        *_numbers(c_void_p, "logits units shares shuffled"),
    ]


class Split(Structure):
    """A split's pairs, sorted by context."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_void_p, "start target count per_context"),
        ("n", c_double),
        ("ranked", c_int64),
    ]


class Reading(Structure):
    """A calibration."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_double, "link temperature raw"),
        ("nll", c_double * MOST_PARTS),
    ]


class Calibration(Structure):
    """What a chunk's calibrations share."""

    _fields_: ClassVar[Fields] = [
        *_numbers(c_void_p, "kept scratch"),
        ("first", c_int64),
        ("parts", c_void_p),
        ("count", c_int64),
        ("prior", c_double),
    ]


METRICS = ("loss", "nll", "accuracy", "top3", "brier", "ece")


@functools.cache
def kernels(dtype: str, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The library with its functions declared; NoKernelError where it cannot be had."""
    found = library(dtype, extra)
    found.harness_sizes.restype = found.harness_bytes.restype = c_int64
    found.harness_sizes.argtypes = [c_int64]
    found.harness_bytes.argtypes = [POINTER(Program), c_int64, c_int64]
    found.harness_logits.argtypes = [POINTER(Program), *[c_void_p] * 4]
    found.harness_train.argtypes = [POINTER(Program), POINTER(Run), *[c_int64] * 4]
    found.harness_evaluate.argtypes = [
        POINTER(Program), POINTER(Run), c_int64, c_void_p, c_int64, c_int64, POINTER(Split),
        c_int64, POINTER(Calibration), *[c_void_p] * 4,
    ]  # fmt: skip
    sizes = [*map(ctypes.sizeof, (Program, Run, Split)), 8 * len(METRICS)]
    sizes += map(ctypes.sizeof, (Reading, Calibration))
    for which, size in enumerate([*sizes, np.dtype(dtype).itemsize]):
        if found.harness_sizes(which) != size:
            raise NoKernelError(f"structure {which} of the kernels differs from Python's")
    return found


def aligned(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Zeros on a line of 64 bytes, which is where the kernels want their memory."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
