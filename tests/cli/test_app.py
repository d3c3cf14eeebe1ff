"""Whole commands, trained for real: results, signals, resuming, what is left on disk."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.records.ledger import Ledger

pytestmark = pytest.mark.slow
TINY = ["data.fraction=0.1", "model.hidden=[16]", "train.steps=40", "tracking=off"]


def command(*words, cwd, **more):
    clean = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words], cwd=cwd, env=clean, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def harness(*words, cwd):
    process = command(*words, cwd=cwd)
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def test_a_grid_is_trained_once_and_each_run_is_what_it_is_alone(tmp_path):
    code, out, err = harness("sweep", *TINY, "loss=nll,hinge", "seed=0,1", cwd=tmp_path)
    assert code == 0, err
    assert "best/nll_calibrated_val" in out and "Traceback" not in err
    ledger = Ledger(tmp_path / "runs")
    assert len(ledger.run_ids()) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]

    code, _, err = harness("sweep", *TINY, "loss=nll,hinge", "seed=0,1", cwd=tmp_path)
    assert code == 0 and "4 of 4 runs are finished already" in err
    alone = tmp_path / "alone"
    alone.mkdir()
    code, out, err = harness("train", *TINY, "loss=hinge", "seed=1", cwd=alone)
    assert code == 0, err
    (run_id,) = Ledger(alone / "runs").run_ids()
    assert run_id in out
    fused, solo = ledger.read(run_id), Ledger(alone / "runs").read(run_id)
    timed = {"speed/run_steps_per_s"}
    assert {k: v for k, v in fused.summary.items() if k not in timed} == {
        k: v for k, v in solo.summary.items() if k not in timed
    }
    assert all((fused.weights[name] == solo.weights[name]).all() for name in solo.weights)


def test_train_m_is_sweep(tmp_path):
    code, out, err = harness("train", "-m", *TINY, "init.weight_scale=0.1,1", cwd=tmp_path)
    assert code == 0, err
    assert "sweep " in out
    (sweep,) = Ledger(tmp_path / "runs").sweeps()
    assert sweep.varying == ("init.weight_scale",)


def test_a_dry_run_says_all_and_writes_nothing(tmp_path):
    code, out, err = harness("sweep", *TINY[:-1], "seed=range(5)", "--dry-run", cwd=tmp_path)
    assert code == 0, err
    assert len([line for line in out.splitlines() if line.endswith(tuple(
        f"seed={i}" for i in range(5)))]) == 5  # fmt: skip
    for word in ("fused programs  ", "time  ", "disk  ", "MLflow points  "):
        assert word in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_finished_runs_and_the_same_command_goes_on(tmp_path, number, code):
    grid = [*TINY, "train.steps=30000", "train.eval_every=200", "seed=0,1,2,3", "engine.chunk=2",
            "ledger.checkpoint_seconds=0.1", "engine.kernel=torch"]  # fmt: skip
    process = command("sweep", *grid, cwd=tmp_path)
    deadline = time.monotonic() + 90
    while not any((tmp_path / "runs").glob("checkpoints/*.ckpt")):  # in the midst of training
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    assert "Traceback" not in err and "stopped" in err
    assert len(Ledger(tmp_path / "runs").run_ids()) < 4
    done, _, err = harness("sweep", *grid, cwd=tmp_path)
    assert done == 0, err
    assert len(Ledger(tmp_path / "runs").run_ids()) == 4


def test_a_saved_config_is_the_same_run(tmp_path):
    code, _, err = harness("train", *TINY, "init=lecture_kaiming", "optim=adam", cwd=tmp_path)
    assert code == 0, err
    (run_id,) = Ledger(tmp_path / "runs").run_ids()
    code, config, err = harness("show", run_id[:6], "--config", cwd=tmp_path)
    assert code == 0, err
    (tmp_path / "config.yaml").write_text(config)
    saved = ["-cp", ".", "-cn", "config"]
    code, out, err = harness("train", *saved, "+tracking=off", cwd=tmp_path)
    assert code == 0 and "finished already" in err and run_id in out
    code, out, err = harness("train", *saved, "--cfg", "job", cwd=tmp_path)
    assert code == 0 and "adam" in out
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "config.yaml"}
    code, out, err = harness("reproduce", "config.yaml", cwd=tmp_path)
    assert code == 0 and run_id in out, err


def test_mlflow_holds_every_child_under_its_parent(tmp_path):
    code, _, err = harness("sweep", *TINY[:-1], "loss=mse,bce", "seed=0,1", cwd=tmp_path)
    assert code == 0, err
    look = (
        "import json, mlflow; c = mlflow.MlflowClient();"
        "e = c.get_experiment_by_name('harness').experiment_id; r = c.search_runs([e]);"
        "print(json.dumps([[x.info.status, x.data.tags.get('mlflow.parentRunId'),"
        " x.data.params.get('loss.name'), x.info.run_id] for x in r]))"
    )
    clean = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    done = subprocess.run([sys.executable, "-c", look], env=clean, capture_output=True, check=True)
    runs = json.loads(done.stdout.splitlines()[-1])
    (parent,) = [run_id for _, above, _, run_id in runs if above is None]
    children = [run for run in runs if run[1] == parent]
    assert sorted(loss for _, _, loss, _ in children) == ["bce", "bce", "mse", "mse"]
    assert {status for status, *_ in runs} == {"FINISHED"}
