"""MLflow's pages over the store that runs are written to, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from harness.errors import ConfigError, HarnessError
from harness.tracking.addresses import redacted, sqlite_address, sqlite_file, store_address
from harness.tracking.moved import check_in_place

HOST = "127.0.0.1"  # MLflow asks nobody for a password: never a public address
FIRST_PORT = 5000
PAGE = "#/experiments?workflowType=machine_learning"  # or MLflow 3 shows its menu for LLM work
PATIENCE = 120.0  # seconds for the server to answer; it takes about 9


def serve(port: int | None = None) -> int:
    """Serve until interrupted; returns the server's exit code.

    port: null takes 5000, or the next free one. ConfigError where there is nothing to show, where
    the port is taken, or where the store is a server with pages of its own.
    """
    uri = store_address(None)
    if uri.startswith(("http://", "https://")):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI is {redacted(uri)}: that server shows its own pages; open it."
        )
    path = sqlite_file(uri)
    if path is not None and not path.exists():
        raise ConfigError(
            f"{path} does not exist, so there is nothing to show; start with `harness sweep "
            "experiment=smoke`, or go to the folder that holds mlflow.db."
        )
    if path is not None:
        check_in_place(path)
        # from its own folder: MLflow would make folders of the undecoded parts of a path
        uri = sqlite_address(Path(path.name))
    port = free_port(port)
    # the address may hold a password, which a line of `ps` would show: it goes by the environment
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_BACKEND_STORE_URI": uri,
    }
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # MLflow's own lines would tell the user to open the store to every host
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*command, "--workers", "1"], env=environment, stdout=subprocess.DEVNULL, stderr=log,
            cwd=path.parent if path is not None else None,
            # Ctrl-C and a closing terminal reach this process alone, which ends the server in order
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(server, f"http://{HOST}:{port}", log)
            print(
                f"MLflow's pages: http://{HOST}:{port}/{PAGE}\nThey are for this machine alone, as "
                "MLflow asks nobody for a password; from elsewhere: "
                f"ssh -L {port}:{HOST}:{port} THIS_MACHINE. Ctrl-C ends it.",
                flush=True,
            )
            code = server.wait()
            if code > 0:
                print(_last_lines(log), file=sys.stderr)
            return code
        finally:
            _end(server)
            signal.signal(signal.SIGHUP, before)


def free_port(wanted: int | None) -> int:
    """The wanted port, or 5000 or the first free one above; ConfigError if the wanted is taken."""
    if wanted is not None:
        if not 1 <= wanted <= 65535:
            raise ConfigError(f"--port is {wanted}; allowed: a whole number from 1 to 65535.")
        if not is_free(wanted):
            raise ConfigError(f"--port is {wanted}, which another program uses; choose another.")
        return wanted
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        if is_free(port):
            return port
    raise ConfigError(f"port {FIRST_PORT} and the next 99 are all in use; name one with --port.")


def is_free(port: int) -> bool:
    """Whether nothing listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _last_lines(log: IO[bytes], most: int = 10) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-most:])


def _wait_for(server: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            raise HarnessError(
                f"MLflow's server ended with code {server.returncode}:\n{_last_lines(log)}"
            )
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/health", timeout=2),  # noqa: S310  our own address
        ):
            return
        time.sleep(0.2)
    raise HarnessError(f"MLflow's server did not answer at {url} within {PATIENCE:g} s.")


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
