"""MLflow on PostgreSQL behind `mlflow server`, as a team has it; skipped where there is none."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.records.ledger import Ledger
from tests.support.driven import TINY, free_port, harness, mlflow_server

BINARIES = [Path(p).parent for p in (shutil.which("initdb"),) if p]
BINARIES += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BINARIES, reason="PostgreSQL is not installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed"
    ),
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning"),
]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """Address of a fresh PostgreSQL server with a password, as a team writes it."""
    folder = tmp_path_factory.mktemp("postgres")
    binaries, port, password = BINARIES[0], free_port(), "s3cret-w0rd"
    (folder / "password").write_text(password)
    user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        with contextlib.suppress(KeyError):
            import pwd

            found = pwd.getpwnam("postgres")
            user = {"user": found.pw_uid, "group": found.pw_gid}
        if not user:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        for path in (folder, *folder.parents[:3], folder / "password"):
            with contextlib.suppress(OSError):
                path.chmod(0o777 if path == folder else 0o755)
    run = {"cwd": folder, "check": True, "capture_output": True, **user}
    try:
        subprocess.run(
            [binaries / "initdb", "-D", folder / "db", "-U", "harness", "-A", "scram-sha-256",
             f"--pwfile={folder}/password"], **run,
        )  # fmt: skip
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        subprocess.run(
            [binaries / "pg_ctl", "-D", folder / "db", "-w", "-l", folder / "log", "-o", options,
             "start"], **{**run, "capture_output": False, "stdout": subprocess.DEVNULL},
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        pytest.skip(f"PostgreSQL does not start here: {(error.stderr or b'')[-200:]}")
    yield f"postgresql://harness:{password}@127.0.0.1:{port}/postgres"
    stop = [binaries / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop"]
    subprocess.run(stop, **run | {"check": False})


def database(postgres, name):
    """Address of a database of its own on that server."""
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{postgres.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    """Address of an MLflow server before it."""
    with mlflow_server(tmp_path_factory.mktemp("server"), postgres) as (address, _):
        yield address


GRID = ["sweep", *TINY, "train.steps=60", "loss=cross_entropy,mse", "seed=0,1", "--quiet"]


def test_a_sweep_through_the_server_and_from_it_back(server, tmp_path):
    code, _, err = harness(*GRID, cwd=tmp_path, MLFLOW_TRACKING_URI=server)
    assert code == 0 and "did not take" not in err, err
    assert not (tmp_path / "mlflow.db").exists()
    run_id = min(Ledger(tmp_path / "runs").run_ids())
    (tmp_path / "runs").rename(tmp_path / "away")
    env = {"MLFLOW_TRACKING_URI": server}
    code, out, err = harness("reproduce", run_id, "--json", cwd=tmp_path, **env)
    assert code == 0 and json.loads(out)["bitwise"], (out, err)
    (tmp_path / "away").rename(tmp_path / "runs")
    code, out, err = harness("sync", cwd=tmp_path, MLFLOW_TRACKING_URI=server)
    assert (code, out) == (0, "0 runs written to MLflow.\n"), err


def test_straight_to_the_database_and_without_its_password_on_disk(postgres, server, tmp_path):
    """The server has made the tables; here the database itself, postgresql://, is the address."""
    words = [*GRID, "tracking.experiment=straight"]
    code, _, err = harness(*words, cwd=tmp_path, MLFLOW_TRACKING_URI=postgres)
    assert code == 0 and "did not take" not in err, err
    code, out, err = harness("sync", cwd=tmp_path, MLFLOW_TRACKING_URI=postgres)
    assert (code, out) == (0, "0 runs written to MLflow.\n"), err
    told = [p for p in tmp_path.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    assert told == []


def test_every_row_of_every_table_is_the_clients_here_too(postgres, tmp_path, monkeypatch):
    from harness.tracking.addresses import store_address
    from tests.tracking import test_tables as same

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.tracking.writer.time.time_ns", lambda: same.NOW)
    first, second = (store_address(database(postgres, name)) for name in ("one", "two"))
    client, direct = same.both_ways(Ledger("runs"), monkeypatch, first, second)
    for rows in (client["experiments"], direct["experiments"]):
        for row in rows:
            row.update(dict.fromkeys(same.TIMES, 0))
    assert {name: len(rows) for name, rows in client.items()} == {
        name: len(rows) for name, rows in direct.items()
    }
    for name, rows in client.items():
        for mine, theirs in zip(rows, direct[name], strict=True):
            assert mine == theirs, name


def test_an_address_that_names_the_older_driver_works_where_that_is_installed(postgres, server):
    pytest.importorskip("psycopg2")
    from harness.tracking.addresses import store_address
    from harness.tracking.opening import open_store
    from harness.tracking.tables import TableStore

    named = postgres.replace("postgresql:", "postgresql+psycopg2:")
    store = open_store(store_address(named), "older driver", None, "")
    assert type(store) is TableStore
    assert store.children("0" * 16) == []
