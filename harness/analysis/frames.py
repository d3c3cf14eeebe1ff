"""Records as a pandas frame, for questions of your own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.analysis.table import table_of

if TYPE_CHECKING:
    import pandas as pd

    from harness.records.record import RunRecord


def records_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run, in their order, indexed by run_id: what differs comes first.

    Columns: verdict, the settings that differ between the runs, every metric ("nll/val"), the
    settings that all share, config_id. Lists are tuples, null is None, a missing number nan.
    """
    table = table_of(records)
    shared = [key for key in table.settings if key not in table.varying]
    order = ["verdict", *table.varying, *table.metrics, *shared, "config_id"]
    frame: pd.DataFrame = table.runs.set_index("run_id")[order]
    return frame
