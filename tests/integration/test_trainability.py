"""experiment=trainability, with fewer points."""

import sqlite3

import pytest

from harness.records.ledger import Ledger
from tests.support.driven import harness

pytestmark = pytest.mark.slow


def test_the_map_has_points_that_learn_and_points_that_do_not(tmp_path):
    """All are in the ledger, without weights; in MLflow they are one run."""
    points = ["init.weight_scale=.01,.1448", "optim.lr=.01,.1448,100"]
    code, _, err = harness("sweep", "experiment=trainability", *points, cwd=tmp_path)
    assert code == 0, err
    ledger = Ledger(tmp_path / "runs")
    records = list(ledger.read_many(ledger.run_ids()).values())
    assert len(records) == 6 and not any(record.weights for record in records)
    at = {(r.config.init.weight_scale, r.config.optim.lr): r for r in records}
    steps, learnt = at[0.01, 0.1448].series["nll/train"]
    assert list(steps) == [0, 500] and learnt[1] < learnt[0] - 0.5
    beyond = at[0.01, 100]
    assert beyond.verdict == "diverged" or beyond.series["nll/train"][1][-1] > learnt[0]
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("select count(*) from runs").fetchone() == (1,)
