"""A run's data and its network at the start and at the end, for who looks inside it again.

Nothing is stored for this: the start is drawn anew from the settings, the end is the kept weights.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

import torch

from harness.config.ids import NUMERICS
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.initialization import initial_weights
from harness.errors import ConfigError, DataError, HarnessError, shown
from harness.records.modules import TrainedNet, module_of

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.records.record import RunRecord

When = Literal["start", "end"]
WHEN: tuple[When, ...] = ("start", "end")


def data_of(record: RunRecord) -> Dataset:
    """The data that a run saw; HarnessError where they are gone or have changed.

    The message may leave this machine in a report, so it names a file without its folder.
    """
    try:
        data = load_data(record.config.data)
    except (DataError, OSError) as error:
        path = record.config.data.path
        file = f" ({PurePath(path).name})" if path else ""
        raise HarnessError(
            f"the data of run {record.run_id}, data={record.config.data.name}{file}, cannot be "
            "read here; bring them back to draw it."
        ) from error
    if data.sha256 != record.provenance.get("data_sha256", data.sha256):
        raise HarnessError(
            f"the data of run {record.run_id} have changed since it was trained; bring the old "
            "file back to draw it."
        )
    return data


def network_at(record: RunRecord, when: When, data: Dataset) -> TrainedNet:
    """The run's network before the first step or after the last, in evaluation mode.

    HarnessError where the end is asked for and its weights are not kept, or are not finite, and
    where the start was drawn by another version of the numerics.
    """
    if when not in WHEN:
        raise ConfigError(f"when is {shown(when)}; allowed: {', '.join(WHEN)}.")
    if when == "start":
        numerics = record.provenance.get("numerics", NUMERICS)
        if str(numerics) != str(NUMERICS):  # a tag of MLflow's is text
            raise HarnessError(
                f"run {record.run_id} was drawn by version {numerics} of the numerics, which is "
                f"{NUMERICS} here; its start cannot be drawn again."
            )
        return _start_of(record.config, data)
    if not record.weights:
        raise HarnessError(
            f"the weights of run {record.run_id} are not kept (ledger.weights, tracking.weights), "
            "so its trained network cannot be drawn; `harness train ... --again` trains it once "
            "more."
        )
    if not all(bool(tensor.isfinite().all()) for tensor in record.weights.values()):
        raise HarnessError(
            f"run {record.run_id} diverged: its weights are not finite, there is nothing to draw."
        )
    return module_of(record.config, record.weights, record.symbols)


def _start_of(config: RunConfig, data: Dataset) -> TrainedNet:
    kind = getattr(torch, config.engine.dtype)
    drawn = initial_weights(config.resolved(), data)
    weights = {name: torch.from_numpy(array).to(kind) for name, array in drawn.items()}
    return module_of(config, weights, data.symbols)
