"""Random streams keyed by name, never by call order.

A stream depends on its seed and its name alone, so steps 1,200 to 1,400 of a run can be drawn
again without drawing what came before, runs of one seed share their batches, and a resumed run
needs no generator state.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """Random stream for one purpose, e.g. stream(7, "init/w1"); neighbours cannot shift it.

    Philox counter generator (Salmon et al. 2011) keyed by the first 128 bits of
    sha256("seed/name").
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
