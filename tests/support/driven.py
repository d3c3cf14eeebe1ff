"""The command driven as a process, and what it left behind read without its own help."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

from harness.records.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
TINY = ("data.fraction=0.02", "model.hidden=[8]", "model.n_embd=4")  # some thousand steps a second


def environment(**more):
    """Ours, with the package on the path and nothing of the user's MLflow in it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    paths = [more.pop("before", None), str(ROOT), os.environ.get("PYTHONPATH")]
    return env | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | more


def start(*words, cwd, prefix=(), **more):
    """`harness ...` in a process group of its own; stdout and stderr go to files in `cwd`.

    more: variables of the environment; `before`: a folder that stands first on the path.
    """
    Path(cwd).mkdir(parents=True, exist_ok=True)
    with (Path(cwd) / "out").open("ab") as out, (Path(cwd) / "err").open("ab") as err:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "harness", *words], cwd=cwd, env=environment(**more),
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip


def harness(*words, cwd, timeout=240, **more):
    """(exit code, stdout, stderr) of one command, run to its end."""
    for name in ("out", "err"):
        (Path(cwd) / name).unlink(missing_ok=True)
    process = start(*words, cwd=cwd, **more)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        raise
    return code, (Path(cwd) / "out").read_text(), (Path(cwd) / "err").read_text()


def kill_group(process):
    """SIGKILL to the command and all its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def workers_of(process):
    """Process ids of the command's living workers."""
    try:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    except OSError:
        return []
    found = []
    for pid in map(int, text.split()):
        with contextlib.suppress(OSError):
            if b"harness.execution.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_for(what, process=None, timeout=120.0):
    """Wait until what() is true; returns it. Fails where the process ends before."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        assert process is None or process.poll() is None, f"ended: {process.returncode}"
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(folder, store, port=None):
    """(address, process) of a real MLflow server over a store; gone, by SIGKILL, at the end."""
    folder, port = Path(folder), port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
             "--workers", "1", "--artifacts-destination", str(folder / "artifacts")],
            env=environment(MLFLOW_BACKEND_STORE_URI=store, MLFLOW_DISABLE_TELEMETRY="true"),
            stdout=log, stderr=log, cwd=folder, start_new_session=True,
        )  # fmt: skip

    def answers():
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
        return b""

    try:
        wait_for(answers, process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        kill_group(process)


def numbers(root):
    """run_id -> digest of every number and weight of its record, timings left out."""
    ledger = Ledger(root)
    return {run_id: numbers_of(ledger.read(run_id)) for run_id in ledger.run_ids()}


def numbers_of(record):
    """Digest of a record's series, final numbers, verdict and weights."""
    from harness.records.record import weights_bytes

    total = hashlib.sha256(weights_bytes(record.weights))
    for name in sorted(record.series):
        steps, values = record.series[name]
        total.update(name.encode() + steps.tobytes() + values.tobytes())
    final = {k: v for k, v in sorted(record.summary.items()) if not k.startswith("speed/")}
    total.update(json.dumps([final, record.verdict]).encode())
    return total.hexdigest()


def in_mlflow(path):
    """What a SQLite store holds, asked of SQLite alone: (parents, children, points).

    parents: status of each sweep's parent; children: (sweep, run) -> its statuses, one each where
    nothing is doubled; points: run -> how often each (metric, step, value) stands there.
    """
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        tags, status = {}, {}
        for run, state in base.execute(
            "SELECT run_uuid, status FROM runs WHERE lifecycle_stage = 'active'"
        ):
            status[run], tags[run] = state, {}
        for run, key, value in base.execute("SELECT run_uuid, key, value FROM tags"):
            if run in tags:
                tags[run][key] = value
        kinds = {run: own.get("harness.kind") for run, own in tags.items()}
        parents = [status[run] for run, kind in kinds.items() if kind == "sweep"]
        children, points = {}, {}
        for run, kind in kinds.items():
            if kind == "run":
                key = tags[run]["harness.sweep_id"], tags[run]["harness.run_id"]
                children.setdefault(key, []).append(status[run])
        query = "SELECT run_uuid, key, step, value FROM metrics"
        for run, key, step, value in base.execute(query):
            if kinds.get(run) == "run" and not key.startswith("speed/"):
                name = tags[run]["harness.run_id"]
                points.setdefault(name, Counter())[key, step, value] += 1
    return parents, children, points
