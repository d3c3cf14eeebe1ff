"""What a person should know of the data before a run begins: said once a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import shown

if TYPE_CHECKING:
    from harness.config.groups import Data
    from harness.config.run import RunConfig
    from harness.data.dataset import Dataset


def data_notes(runs: Sequence[RunConfig], sets: Mapping[Data, Dataset]) -> list[str]:
    """One line a data set with what was put right or counted in it, and one a large batch.

    sets: run.data -> its data set.
    """
    out = []
    for settings, data in sets.items():
        where = f" ({shown(settings.path)})" if settings.path else ""
        out += [f"data={settings.name}{where}: {'; '.join(data.notes)}."] if data.notes else []
    for size, settings in dict.fromkeys((run.train.batch_size, run.data) for run in runs):
        n = sets[settings].train.n
        if isinstance(size, int) and size > n:
            out.append(
                f"train.batch_size={size:,} is more than the {n:,} training examples of "
                f"data={settings.name}; batches are drawn with replacement, so they repeat them."
            )
    return list(dict.fromkeys(out))
