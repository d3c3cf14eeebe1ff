"""Each thing that one platform lacks, taken away: another answer, or one sentence."""

import os
import subprocess
import sys

import pytest

import harness
from harness import system
from harness.cli import main as cli
from harness.errors import HarnessError
from harness.records import durable
from harness.tracking import owners


def test_cores_without_affinity(monkeypatch):
    """macOS does not say which cores a process may use; all of them count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert system.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert system.cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.cores() == 1


def test_memory_without_sysconf(monkeypatch):
    """Without a figure nothing is refused for want of memory."""
    assert system.total_memory() > 2**20

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert system.total_memory() is None
    monkeypatch.delattr(os, "sysconf")
    assert system.total_memory() is None


@pytest.mark.parametrize("proc", [True, False])
def test_processes_with_and_without_proc(monkeypatch, tmp_path, proc):
    """A process is told from a later one of its number, by /proc or by ps."""
    if not proc:
        monkeypatch.setattr(system, "PROC", tmp_path)
    words = [sys.executable, "-c", "input('a marked process')"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.read(1) == b"a"  # Python runs by now
        assert "a marked process" in system.command(child.pid)
        assert system.started(child.pid) == system.started(child.pid) != ""
        tag = f"host:{child.pid}:{system.started(child.pid)}"
        assert owners.lives(tag)
        assert not owners.lives(tag + "1")
        child.stdin.close()
    assert system.command(child.pid) == system.started(child.pid) == ""
    assert not owners.lives(tag)


def test_processes_where_ps_is_missing_too(monkeypatch, tmp_path):
    """Then a number alone decides, as far as it can."""
    monkeypatch.setattr(system, "PROC", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.started(os.getpid()) == system.command(os.getpid()) == ""
    assert owners.lives(owners.owner())


def test_processor_without_proc(monkeypatch, tmp_path):
    """macOS: sysctl knows the name; a stand-in for it here."""
    monkeypatch.setattr(system, "PROC", tmp_path / "none")
    sysctl = tmp_path / "sysctl"
    sysctl.write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo Apple M9\n')
    sysctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert system.processor() == "Apple M9"
    assert system.instructions() == ""
    sysctl.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system.platform, "processor", lambda: "")
    assert system.processor() == "unknown"


def test_locks_keep_others_out(tmp_path):
    """One holder at a time, by file."""
    handles = [os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2)]
    assert system.lock(handles[0], wait=False)
    assert not system.lock(handles[1], wait=False)
    os.close(handles[0])
    assert system.lock(handles[1], wait=True)
    os.close(handles[1])


def test_no_ledger_is_opened_without_locks(monkeypatch, tmp_path):
    monkeypatch.setattr(system, "fcntl", None)
    with pytest.raises(HarnessError, match="WSL"), durable.locked(tmp_path / "lock", "the ledger"):
        pytest.fail("went on without a lock")


def test_harness_imports_where_fcntl_is_missing():
    """So that Windows gets to the sentence below."""
    program = "import sys; sys.modules['fcntl'] = None; import harness.tracking.session"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_windows_is_refused_with_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.run(["list"]) == HarnessError.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"harness: {system.PLATFORMS}\n"
    monkeypatch.delitem(vars(harness), "train", raising=False)
    with pytest.raises(HarnessError, match="WSL"):
        _ = harness.train
