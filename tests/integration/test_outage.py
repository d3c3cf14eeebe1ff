"""A real MLflow server that dies in the midst of a sweep, seen from the command."""

import pytest

from harness.records.ledger import Ledger
from tests.support.driven import (
    TINY,
    free_port,
    harness,
    in_mlflow,
    kill_group,
    mlflow_server,
    numbers,
    start,
    wait_for,
)

pytestmark = pytest.mark.slow
# 24 runs in chunks of 2: the server is gone while most are still to come
GRID = ["sweep", *TINY, "train.steps=4000", "seed=range(0,24)", "engine.chunk=2", "--quiet",
        "engine.kernel=torch"]  # fmt: skip


def test_a_server_that_dies_in_the_midst_stops_no_run_and_sync_writes_the_rest(tmp_path):
    """Exit 0, every run finished, the warning said once; the server back, one sync is enough."""
    store, port = f"sqlite:///{tmp_path}/server/base.db", free_port()
    surroundings = {
        "MLFLOW_TRACKING_URI": f"http://bob:hunter2@127.0.0.1:{port}",  # a password, for nobody
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    }
    ledger = Ledger(tmp_path / "work/runs")
    with mlflow_server(tmp_path / "server", store, port) as (_, server):
        process = start(*GRID, cwd=tmp_path / "work", **surroundings)
        wait_for(lambda: len(ledger.run_ids()) >= 2, process)
        kill_group(server)
        assert len(ledger.run_ids()) < 24  # in the midst
        assert process.wait(120) == 0
    said = (tmp_path / "work/err").read_text()
    spoken = said + (tmp_path / "work/out").read_text()
    assert "hunter2" not in spoken and "View run" not in spoken  # MLflow's client prints addresses
    files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    assert "Traceback" not in said and said.count("training goes on") == 1, said
    assert "harness sync" in said
    made = numbers(tmp_path / "work/runs")
    assert len(made) == 24

    with mlflow_server(tmp_path / "server", store, port):
        code, out, err = harness("sync", cwd=tmp_path / "work", **surroundings)
        assert code == 0 and "runs written to MLflow" in out, err
        code, out, err = harness("sync", cwd=tmp_path / "work", **surroundings)
        assert (code, out) == (0, "0 runs written to MLflow.\n"), err
    parents, children, points = in_mlflow(tmp_path / "server/base.db")
    assert parents == ["FINISHED"]
    assert sorted(run_id for _, run_id in children) == sorted(made)
    assert set(map(tuple, children.values())) == {("FINISHED",)}
    assert all(set(found.values()) == {1} for found in points.values())
