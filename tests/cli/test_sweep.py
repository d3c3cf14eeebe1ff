"""The orchestrator with a stand-in for training and tracking: what is trained, told, returned."""

import contextlib
import os
import signal
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main as cli
from harness.cli.command_line import run
from harness.cli.jobs import check_jobs
from harness.cli.stopping import StoppedError, Terminated, stop_signals
from harness.cli.sweep import Options, run_jobs_of
from harness.config.run import run_config
from harness.errors import ConfigError, DataError
from harness.records.ledger import Ledger
from harness.records.record import RunRecord
from harness.records.saved import config_yaml
from harness.tracking.interface import Report


class Event:
    """What is heard of a run."""

    def __init__(self, kind, run_id, step=0, message=""):
        self.kind, self.run_ids, self.step, self.message = kind, [run_id], step, message


class Stand:
    """Stands in for execution's run_jobs and tracking's open_tracking; keeps what it was asked."""

    def __init__(self):
        self.trained, self.told, self.opened = [], [], []
        self.fail, self.diverge, self.signal = set(), set(), None

    def device_of(self, run_):
        return "cpu"

    def run_jobs(self, runs, *, executor, place, on_event, stop, rung=None):
        assert executor.name == "local"
        for run_ in runs:
            run_id = run_.run_id(check_jobs([run_.nested()]).checksums[run_.data])
            if self.signal is not None:
                os.kill(os.getpid(), self.signal)
            if stop.is_set():
                return
            self.trained.append(run_id)
            if run_.seed in self.fail:
                on_event(Event("failed", run_id, message="Traceback\nValueError: boom"))
                continue
            on_event(Event("progress", run_id, step=1))
            place.ledger.write(self.record(run_, run_id), replace=True)
            on_event(Event("finished", run_id))

    def record(self, run_, run_id):
        summary = {"best/nll_val": 2.0 + run_.seed + run_.init.weight_scale, "nll/train": 1.0}
        if run_.seed in self.diverge:
            summary = {}
        return RunRecord(
            config=run_, run_id=run_id, config_id=f"c{run_.init.weight_scale}",
            series={"nll/val": (np.array([0]), np.array([3.0]))}, summary=summary,
            verdict="diverged" if run_.seed in self.diverge else "fit",
        )  # fmt: skip

    def open_tracking(self, settings, ledger):
        self.opened.append(settings)
        return self

    def open_sweep(self, manifest):
        self.manifest = manifest

    def points(self, seen):
        self.told.append(("points", *seen.run_ids))

    def finished(self, record):
        self.told.append(("finished", record))

    def failed(self, run_id, message):
        self.told.append(("failed", run_id))

    def close(self, status="FINISHED", timeout=None, **_):
        self.told.append(("closed", status))
        return Report(written=0, behind=0)


@pytest.fixture
def stand(monkeypatch, tmp_path):
    stand = Stand()
    for name, function in (
        ("execution.interface", "run_jobs"), ("tracking.tracker", "open_tracking"),
        ("engine.device", "device_of"),
    ):  # fmt: skip
        module = types.ModuleType(f"harness.{name}")
        setattr(module, function, getattr(stand, function))
        module.Event = module.NullTracker = object
        monkeypatch.setitem(sys.modules, f"harness.{name}", module)
    execution = sys.modules["harness.execution.interface"]
    execution.Place = types.SimpleNamespace
    execution.check_executor = lambda name: None
    execution.open_executor = lambda name, place: types.SimpleNamespace(
        name=name, close=lambda: None
    )
    monkeypatch.chdir(tmp_path)
    return stand


def configs(*changes):
    return [run_config({"train": {"steps": 1}, **change}).nested() for change in changes]


def test_equal_runs_are_trained_once_and_each_job_has_its_value(stand, capsys):
    jobs = configs({"seed": 0}, {"seed": 1}, {"seed": 0}, {"init": {"weight_scale": 3.0}})
    outcome = run_jobs_of(jobs, options=Options())
    assert outcome.values == [3.0, 4.0, 3.0, 5.0]
    assert outcome.exit_code == 0
    assert len(stand.trained) == 3
    assert stand.manifest.sweep_id == outcome.sweep_id
    assert stand.told[-1] == ("closed", "FINISHED")
    out = capsys.readouterr()
    assert "best/nll_val" in out.out and f"harness compare {outcome.sweep_id[:8]}" in out.out
    assert "nll" not in out.err  # results on stdout, progress on stderr


def test_finished_runs_are_skipped_but_told_to_the_new_parent(stand, capsys):
    run_jobs_of(configs({"seed": 0}, {"seed": 1}), options=Options())
    stand.trained.clear(), stand.told.clear()
    outcome = run_jobs_of(configs({"seed": 1}, {"seed": 2}), options=Options())
    assert len(stand.trained) == 1
    assert outcome.values == [4.0, 5.0]
    assert sorted(kind for kind, _ in stand.told) == ["closed", "finished", "finished"]
    assert "1 of 2 runs are finished already" in capsys.readouterr().err


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_says_nothing_of_what_is_left_to_write(stand, capsys, monkeypatch, quiet):
    """Where MLflow takes longer than the patience, here none."""

    class AtOnce(threading.Timer):
        start, cancel = threading.Timer.run, lambda self: None

        def __init__(self, interval, function, args):
            super().__init__(0, function, args)

    monkeypatch.setattr(threading, "Timer", AtOnce)
    run_jobs_of(configs({}), options=Options(quiet=quiet))
    assert ("writing the last runs" in capsys.readouterr().err) is not quiet


def test_a_failed_run_is_told_and_the_rest_go_on(stand, capsys):
    stand.fail = {1}
    outcome = run_jobs_of(configs({"seed": 0}, {"seed": 1}, {"seed": 2}), options=Options())
    assert outcome.exit_code == 1
    assert outcome.values[0] == 3.0 and outcome.values[2] == 5.0
    assert "boom" in str(outcome.values[1])
    err = capsys.readouterr().err
    assert "ValueError: boom" in err and "1 of 3 runs failed" in err


def test_a_diverged_run_is_a_result(stand):
    stand.diverge = {1}
    outcome = run_jobs_of(configs({"seed": 0}, {"seed": 1}), options=Options())
    assert outcome.exit_code == 0
    assert outcome.values == [3.0, float("inf")]


def test_one_run_has_no_parent_and_is_shown_again(stand, capsys):
    first = run_jobs_of(configs({}), options=Options(single=True))
    assert first.sweep_id is None and stand.manifest.kind == "single"
    shown = capsys.readouterr().out
    again = run_jobs_of(configs({}), options=Options(single=True))
    out = capsys.readouterr()
    assert again.values == first.values and out.out == shown
    assert "finished already" in out.err and len(stand.trained) == 1
    run_jobs_of(configs({}), options=Options(single=True, again=True))
    assert len(stand.trained) == 2


def test_a_sweep_joins_an_older_one(stand):
    old = run_jobs_of(configs({"seed": 0}), options=Options()).sweep_id
    outcome = run_jobs_of(configs({"seed": 1}), options=Options(into=old))
    assert outcome.sweep_id == old
    assert len(Ledger("runs").read_sweep(old).run_ids) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_a_clean_close(stand, number, code):
    stand.signal = number
    before = signal.getsignal(number)
    with pytest.raises(StoppedError) as stopped:
        run_jobs_of(configs({"seed": 0}, {"seed": 1}), options=Options())
    assert stopped.value.exit_code == code
    assert stand.told[-1] == ("closed", "KILLED")
    assert signal.getsignal(number) is before


def test_a_second_signal_acts_as_ever():
    ever = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.event.is_set()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, ever)


@pytest.mark.parametrize(
    ("number", "code", "raised"),
    [(signal.SIGINT, 130, KeyboardInterrupt), (signal.SIGTERM, 143, Terminated)],
)
def test_a_signal_that_a_library_swallows_still_stops(monkeypatch, number, code, raised):
    """Raised inside an import or a finaliser it may vanish, or come out as another error."""

    def verb(*_, **__):
        with contextlib.suppress(raised):
            os.kill(os.getpid(), number)
        with stop_signals() as stop:
            assert stop.event.is_set()
        raise ConfigError("what became of it")

    monkeypatch.setattr(cli.cli, "main", verb)
    assert cli.run(["list"]) == code
    monkeypatch.setattr(cli.cli, "main", lambda *_, **__: 0)
    assert cli.run(["list"]) == 0  # the next command starts afresh


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"name": "crossentropy"}},
        {"init": {"weight_scale": -1.0}},
        {"optim": {"lr": float("nan")}},
        {"own": 1},
        {"tracking": {"name": "mlflo"}},
        {"data": {"name": "file", "path": "absent.txt"}},
    ],
)
def test_bad_input_creates_nothing(stand, tmp_path, change):
    with pytest.raises((ConfigError, DataError)):
        run_jobs_of([{**configs({})[0], **change}], options=Options())
    assert list(tmp_path.iterdir()) == []
    assert stand.trained == []


def test_one_sweep_has_one_ledger(stand):
    jobs = [{**configs({})[0], "ledger": {"dir": folder}} for folder in ("a", "b")]
    with pytest.raises(ConfigError, match="one value each"):
        run_jobs_of(jobs, options=Options())


def test_a_command_line_comes_through_hydra(stand, capsys):
    """`harness sweep`: grid, fused launcher, one call; the words given name the sweep."""
    line = ["train.steps=1", "loss=mse,nll", "seed=0,1", "--quiet", "init.weight_scale=1"]
    assert run(line, multirun=True) == 0
    assert len(stand.trained) == 4
    assert stand.manifest.overrides == tuple(w for w in line if w != "--quiet")
    assert stand.manifest.varying == ("loss.name", "seed")


def test_an_experiments_axes_give_way_to_the_command_line(stand):
    assert run(["experiment=smoke", "seed=3", "init.weight_scale=1"], multirun=True) == 0
    configs_ = [stand.manifest.configs[run_id] for run_id in stand.manifest.run_ids]
    assert [(c["loss"]["name"], c["seed"]) for c in configs_] == [("cross_entropy", 3), ("mse", 3)]


def test_a_failure_is_an_exit_code(stand):
    stand.fail = {1}
    assert run(["train.steps=1", "seed=0,1", "--quiet"], multirun=True) == 1


def test_a_saved_config_trains_again(stand, tmp_path, capsys):
    """A saved config is the run: same id, from any folder, overrides laid over it."""
    assert run(["train.steps=1", "loss=hinge", "reg=l2"], multirun=False) == 0
    (run_id,) = Ledger("runs").run_ids()
    folder = "saved"
    Path(folder).mkdir()
    Path(folder, "config.yaml").write_text(config_yaml(Ledger("runs").read(run_id).config))
    assert run(["-cp", folder, "-cn", "config"], multirun=False) == 0
    assert Ledger("runs").run_ids() == [run_id]
    assert run(["-cp", folder, "-cn", "config", "seed=5,6"], multirun=True) == 0
    assert len(Ledger("runs").run_ids()) == 3
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "saved"}  # nothing of Hydra's own
