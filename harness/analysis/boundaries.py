"""What a network says over the plane, and where it changes its mind.

Axes: X columns and Y rows of a grid, N points, 2 coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from harness.analysis.networks import When, data_of, network_at
from harness.errors import ConfigError

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.records.record import RunRecord

CELLS = 160  # grid lines each way
MARGIN = 0.12  # of the points' range, on every side


@dataclass(frozen=True, kw_only=True, eq=False)
class Boundary:
    """A network's output over a grid, with the points it was trained and validated on.

    output_YX: the logit at (x_X, y_Y); above 0 the label is +1. points: split -> (N, 2); labels:
    split -> (N,) of -1 and +1; outputs: split -> (N,), the logit; only splits that hold a point.
    """

    run_id: str
    x_X: NDArray[np.float64]
    y_Y: NDArray[np.float64]
    output_YX: NDArray[np.float64]
    points: Mapping[str, NDArray[np.float64]]
    labels: Mapping[str, NDArray[np.int64]]
    outputs: Mapping[str, NDArray[np.float64]]


def in_plane(data: Dataset) -> bool:
    """Whether the inputs are points of two coordinates."""
    return data.kind == "binary" and data.train.x.shape[1] == 2


def boundary(
    record: RunRecord, *, data: Dataset | None = None, when: When = "end", cells: int = CELLS
) -> Boundary:
    """The output of a run's network over the plane, at its end or its start.

    The grid has cells x cells points and reaches a little beyond the training and validation
    points. data: what the run was trained on, where that is no source it can be loaded from.
    ConfigError for inputs that are not in the plane; errors of `network_at` and `data_of` too.
    """
    if cells < 2 or cells > 2000:
        raise ConfigError(f"cells is {cells}; allowed: 2 to 2000 grid lines each way.")
    data = data_of(record) if data is None else data
    if not in_plane(data):
        what = f"{data.train.x.shape[1]} numbers" if data.kind == "binary" else "contexts"
        raise ConfigError(
            f"run {record.run_id} was trained on data={data.name}, whose inputs are {what}; a "
            "boundary is drawn for points of two coordinates, such as data=moons."
        )
    net = network_at(record, when, data).double()
    held = [name for name in data.held if name != "test"]
    points = {name: np.asarray(getattr(data, name).x, np.float64) for name in held}
    every = np.concatenate(list(points.values()))
    low, high = every.min(0), every.max(0)
    around = MARGIN * np.where(high > low, high - low, 1.0)
    x_X, y_Y = (
        np.linspace(low[i] - around[i], high[i] + around[i], cells, dtype=np.float64)
        for i in (0, 1)
    )
    grid = np.stack(np.meshgrid(x_X, y_Y), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        output = net(torch.from_numpy(grid)).numpy().reshape(cells, cells)
        outputs = {name: net(torch.from_numpy(x)).numpy()[:, 0] for name, x in points.items()}
    return Boundary(
        run_id=record.run_id, x_X=x_X, y_Y=y_Y, output_YX=output, points=points,
        labels={name: getattr(data, name).y for name in held}, outputs=outputs,
    )  # fmt: skip
