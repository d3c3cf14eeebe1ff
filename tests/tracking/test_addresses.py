"""One reading of an address: by the check before training, by MLflow and by whoever reads later."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.tracking.addresses import (
    lock_seconds,
    redacted,
    sqlite_address,
    sqlite_file,
    store_address,
)

SIGNS = sorted(set(string.printable[:95]) - {"/"})


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("sign", SIGNS)
def test_any_sign_may_stand_in_a_folders_name(sign, tmp_path, monkeypatch):
    """What SQLAlchemy opens is the file that was meant; MLflow's URL is made of the same text."""
    from sqlalchemy import make_url

    folder = tmp_path / f"a{sign}b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    uri = store_address(None)
    assert sqlite_file(uri) == folder / "mlflow.db"
    assert make_url(uri).database == str(folder / "mlflow.db")
    assert store_address(uri) == uri  # read again, it means the same


def test_percent_signs_in_an_address_are_escapes(tmp_path):
    uri = store_address("sqlite:///my%20dir/x.db")
    assert sqlite_file(uri) == tmp_path / "my dir" / "x.db"
    assert uri == sqlite_address(tmp_path / "my dir" / "x.db")


@pytest.mark.parametrize("name", ["run%20x", "".join(SIGNS), "ünï [1] 'q' \"d\"", "-"])
def test_a_store_is_made_and_found_again_in_any_folder(name, tmp_path, monkeypatch):
    """Nothing but the store is made: no half of one, no folder of an undecoded name."""
    from mlflow.artifacts import download_artifacts

    from harness.config.settings import Tracking
    from harness.records.ledger import Ledger
    from harness.records.manifests import new_sweep
    from harness.tracking.reader import MlflowReader
    from harness.tracking.tracker import sync
    from tests.support.made import made_record
    from tests.support.stores import fresh_store

    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    fresh_store("mlflow.db")
    ledger, record = Ledger("runs"), made_record(1)
    ledger.write(record)
    ledger.write_sweep(new_sweep({record.run_id: record.config}))
    assert sync(ledger, Tracking()).written == 1
    reader = MlflowReader()
    [parent] = reader.parents()
    [child] = reader.children(parent)
    assert reader.artifact(parent, "runs.parquet")
    there = download_artifacts(run_id=child.info.run_id, tracking_uri=reader.uri)
    assert (Path(there) / "config.yaml").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]
    assert {p.name for p in folder.iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"} == {
        "mlflow.db", "mlartifacts", "runs",
    }  # fmt: skip


def test_a_fresh_store_is_whole_in_a_folder_with_a_percent_sign(tmp_path, monkeypatch):
    from harness.tracking.opening import open_store

    folder = tmp_path / "run%20x"
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = open_store(store_address(None), "harness", None, "")
    assert store.find(harness__kind="sweep") == []
    assert [p.name for p in tmp_path.iterdir()] == ["run%20x"]
    assert not list(folder.glob("*.new*"))


def test_the_timeout_of_an_address_is_how_long_a_lock_is_waited_for(tmp_path):
    uri = store_address("sqlite:///mlflow.db?timeout=30")
    assert sqlite_file(uri) == tmp_path / "mlflow.db"
    assert lock_seconds(uri, 90.0) == 30.0
    assert lock_seconds(store_address(None), 90.0) == 90.0


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite:///mlflow.db?timeout=30.PID.new", r"timeout='30\.PID\.new'; allowed: seconds"),
        ("sqlite:///mlflow.db?timeuot=30", "the parameter 'timeuot'.*Did you mean 'timeout'"),
        ("sqlite:///mlflow.db?mode=ro", "the parameter 'mode'; allowed: .*timeout"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://mlflow.db", "three slashes"),
        ("http://server:50x/", "which is no address"),
        ("http://server?x=1", "without parameters"),
        ("http://", "SERVER"),
        ("postgresql://me@host:port/x", "which is no address"),
        ("postgresql+nodriver://me@host/x", "allowed: sqlite"),
        ("postgresql://me@host/x?sslmod=require", "'sslmod'.*Did you mean 'sslmode'"),
        ("postgres://me@host/x", "Did you mean 'postgresql'"),
        ("mssql+pymssql://me@host/x", r"pip install 'pymssql'"),
    ],
)
def test_what_no_store_can_have_is_refused_before_training(uri, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        store_address(uri)
    assert list(tmp_path.iterdir()) == []


def test_a_plain_postgresql_address_is_served_by_whichever_driver_is_installed(monkeypatch):
    pytest.importorskip("psycopg")
    import sys

    plain = "postgresql://me:s3cret@db/x"
    assert store_address(plain) == plain
    monkeypatch.setitem(sys.modules, "psycopg", None)
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"pip install 'psycopg\[binary\]'"):
            store_address(plain)
        return
    assert store_address(plain) == "postgresql+psycopg2://me:s3cret@db/x"
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigError, match=r"pip install 'psycopg\[binary\]'") as told:
        store_address(plain)
    assert "s3cret" not in str(told.value)


def test_secrets_are_not_in_messages():
    assert redacted("postgresql://me:pw@db/x?password=y") == "postgresql://me:***@db/x?password=***"
