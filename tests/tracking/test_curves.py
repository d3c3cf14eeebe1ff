"""Curves of a whole sweep in one file, and one run's out of it again."""

import io

import numpy as np
import pandas as pd

from harness.tracking.curves import Curves, curves_of
from tests.support.made import made_record


def test_curves_of_many_runs_come_in_the_order_asked_for():
    parts = {f"r{i}": made_record(i).series for i in range(3)}
    held = Curves()
    for run_id in ("r2", "r0", "r1"):  # as they finished
        held.add(run_id, parts[run_id])
    assert "r1" in held and "r7" not in held
    table = pd.read_parquet(io.BytesIO(held.parquet(["r0", "r1", "r7", "r2"])))
    assert list(table.columns) == ["run_id", "name", "step", "value"]
    assert list(dict.fromkeys(table.run_id)) == ["r0", "r1", "r2"]
    assert len(table) == sum(len(steps) for one in parts.values() for steps, _ in one.values())
    for run_id, series in parts.items():
        for name, (steps, values) in series.items():
            rows = table[(table.run_id == run_id) & (table.name == name)]
            assert rows.step.tolist() == steps.tolist()
            assert rows.value.to_numpy().tobytes() == values.tobytes()


def test_one_runs_curves_are_found_among_the_others():
    held = Curves()
    for i in range(3):
        held.add(f"r{i}", made_record(i).series)
    held.add("bare", {})
    content = held.parquet(["r0", "r1", "bare", "r2"])
    found = curves_of(content, "r1")
    want = made_record(1).series
    assert list(found) == list(want)
    for name, (steps, values) in want.items():
        assert found[name][0].dtype == np.int64
        assert found[name][0].tolist() == steps.tolist()
        assert found[name][1].tobytes() == values.tobytes()
    assert curves_of(content, "bare") == curves_of(content, "absent") == {}


def test_no_curves_are_an_empty_table():
    table = pd.read_parquet(io.BytesIO(Curves().parquet(["r0"])))
    assert list(table.columns) == ["run_id", "name", "step", "value"] and table.empty
