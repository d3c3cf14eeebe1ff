"""`harness ui`: this machine alone, a free port, no server over nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from harness.cli import ui
from harness.errors import ConfigError, HarnessError


def test_nothing_to_show_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match=r"mlflow\.db does not exist"):
        ui.serve()
    assert list(tmp_path.iterdir()) == []


def test_a_server_has_its_own_pages(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="own pages"):
        ui.serve()


def test_a_taken_port_is_refused_or_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind((ui.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="another program"):
            ui.free_port(port)
        monkeypatch.setattr(ui, "FIRST_PORT", port)
        assert ui.free_port(None) > port
    with pytest.raises(ConfigError, match="1 to 65535"):
        ui.free_port(0)


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0" + b"and then junk" * 500)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(ui, "check_in_place", lambda path: None)
    with pytest.raises(HarnessError, match=r"ended with code [1-9](.|\n)*database"):
        ui.serve()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_serves_and_ends(tmp_path, number):
    """An empty store made by MLflow itself is served on 127.0.0.1 until Ctrl-C or a hang-up."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    make = "import mlflow; mlflow.search_experiments()"
    subprocess.run([sys.executable, "-c", make], env=environment, check=True, cwd=tmp_path)
    with socket.socket() as probe:
        probe.bind((ui.HOST, 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "harness", "ui", "--port", str(port)], cwd=tmp_path,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # under nohup it is ignored
    )  # fmt: skip
    try:
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        assert "this machine alone" in server.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert b"<title>MLflow</title>" in page.read()
        server.send_signal(number)
        _, err = server.communicate(timeout=20)
        assert (server.returncode, err.strip()) == (
            130,
            "",
        )  # MLflow's advice is "use --host 0.0.0.0"
    finally:
        server.kill()
        server.communicate()
    until = time.monotonic() + 10
    while not ui.is_free(port):  # MLflow's own processes have ended too
        assert time.monotonic() < until
        time.sleep(0.1)
