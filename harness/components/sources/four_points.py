"""The four points in three dimensions on which micrograd's lecture trains its first network."""

from __future__ import annotations

from harness.components.sources import Points, Settings, SourceSpec

X = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
Y = [1, -1, -1, 1]


def load(_settings: Settings) -> Points:
    """Karpathy, "The spelled-out intro to neural networks and backpropagation" (2022)."""
    import numpy as np

    return Points(x_NI=np.array(X, dtype=np.float32), y_N=np.array(Y, dtype=np.int64))


SPEC = SourceSpec(
    load=load,
    kind="binary",
    unit="nats/example",
    beside={"split": (1.0, 0.0, 0.0)},
    summary="micrograd's four points in three dimensions; all of them train: data.split=[1,0,0]",
)
