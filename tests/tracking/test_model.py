"""The model in MLflow answers as the module does, holds no pickle and needs no harness."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.config.groups import Data, Engine, Init, Loss, Model, Train
from harness.config.run import RunConfig
from harness.config.settings import Tracking
from harness.engine.train import train
from harness.records.manifests import new_sweep
from harness.tracking import model as serving
from harness.tracking.tracker import open_tracking

pytestmark = [
    pytest.mark.filterwarnings("ignore:Operation with range"),  # MLflow's use of pandas
    pytest.mark.filterwarnings("ignore:.*Any type hint"),  # MLflow's import of itself
]
CONTEXTS = ["", "e", "em", "emm", "olivia", "..z"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def trained(model: Model, dtype: str = "float64", **groups):
    run = RunConfig(
        data=Data(fraction=0.05), model=model, engine=Engine(dtype=dtype, device="cpu"),
        train=Train(steps=30), init=Init(bias="normal"), **groups,
    )  # fmt: skip
    return train([run])[0]


def module_probabilities(record):
    net = record.module()
    with torch.no_grad():
        return net(net.encode(CONTEXTS)).double().softmax(-1).numpy()


@pytest.fixture(autouse=True)
def no_pickle(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        *[Model(n_embd=4, hidden=(9, 5), activation=a) for a in ("tanh", "relu", "gelu", "linear")],
        Model(n_embd=4, hidden=(9, 5), activation="gelu", batch_norm=True),
        Model(n_embd=4, hidden=()),
    ],
    ids=["tanh", "relu", "gelu", "linear", "bn", "no-hidden"],
)
def test_saved_model_answers_as_the_module(model, tmp_path):
    """Float64: the same products in another order of sums, so equal to a few roundings."""
    import mlflow
    import pandas as pd

    record = trained(model)
    loaded = mlflow.pyfunc.load_model(str(serving.save_model(record, tmp_path)))
    got = loaded.predict(pd.DataFrame({"context": CONTEXTS}))
    assert tuple(got.columns) == record.symbols
    np.testing.assert_allclose(got, module_probabilities(record), rtol=1e-12)
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-12)


def test_contexts_outside_the_vocabulary_are_named(tmp_path):
    import mlflow
    import pandas as pd

    path = serving.save_model(trained(Model(hidden=())), tmp_path)
    loaded = mlflow.pyfunc.load_model(str(path))
    for wrong in ("a#", "a.b"):
        with pytest.raises(mlflow.exceptions.MlflowException, match="allowed: the symbols"):
            loaded.predict(pd.DataFrame({"context": [wrong]}))
    with pytest.raises(mlflow.exceptions.MlflowException, match="context"):
        loaded.predict(pd.DataFrame({"text": ["a"]}))
    assert len(loaded.predict(pd.DataFrame({"context": np.array([], dtype=str)}))) == 0


def test_what_is_logged_holds_no_pickle(tmp_path):
    """Signature and example are there; the files are text, JSON and safetensors, nothing else."""
    path = serving.save_model(trained(Model(hidden=())), tmp_path)
    files = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert files >= {
        "MLmodel",
        "model_code.py",
        "artifacts/weights.safetensors",
        "input_example.json",
    }
    endings = {Path(name).suffix for name in files}
    assert endings <= {"", ".py", ".safetensors", ".json", ".yaml", ".txt"}
    described = (path / "MLmodel").read_text()
    assert "pkl" not in described
    assert "signature:" in described
    assert not any("harness" in line for line in (path / "requirements.txt").read_text().split())


def test_its_code_imports_nothing_of_ours():
    tree = ast.parse(serving.CODE.read_text())
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert not any(name.split(".")[0] == "harness" for name in names)
    assert not {"pickle", "cloudpickle", "joblib", "dill"} & names


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """(address, records, MLflow runs by run_id, parent) of a sweep of two runs."""
    from mlflow import MlflowClient

    records = [trained(Model(hidden=(8,)), seed=seed) for seed in (0, 1)]
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    client = None
    for _ in range(2):  # the second time is what `sync` does: nothing may be doubled
        tracker = open_tracking(Tracking(uri=uri))
        tracker.open_sweep(new_sweep({r.run_id: r.config for r in records}))
        for record in records:
            tracker.finished(record)
        tracker.close()
        client = MlflowClient(uri)
    runs = client.search_runs(["1"])
    children = {r.data.tags["harness.run_id"]: r for r in runs if "harness.run_id" in r.data.tags}
    (parent,) = [run for run in runs if run.data.tags["harness.kind"] == "sweep"]
    return uri, client, records, children, parent


@pytest.mark.slow
def test_best_run_of_a_sweep_is_a_model(sweep):
    """One model, of the best run alone, found by the parent's tag and by the run's own address."""
    import mlflow
    import pandas as pd

    uri, client, records, children, parent = sweep
    best = min(records, key=lambda r: r.summary["nll/val"])
    child = children[best.run_id]
    models = client.search_logged_models(["1"])
    assert [m.source_run_id for m in models] == [child.info.run_id]
    assert parent.data.tags["harness.best_model"] == models[0].model_uri
    outputs = {run_id: run.outputs.model_outputs for run_id, run in children.items()}
    assert [len(found) for run_id, found in outputs.items() if run_id != best.run_id] == [0]
    assert outputs[best.run_id][0].step == 30
    frame = pd.DataFrame({"context": CONTEXTS})
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        for address in (models[0].model_uri, f"runs:/{child.info.run_id}/model"):
            got = mlflow.pyfunc.load_model(address).predict(frame)
            np.testing.assert_allclose(got, module_probabilities(best), rtol=1e-12)
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_weights_follow_the_rule(sweep):
    _, client, records, children, _ = sweep
    best = min(records, key=lambda r: r.summary["nll/val"]).run_id
    kept = {
        run_id
        for run_id, child in children.items()
        if any(f.path == "weights.safetensors" for f in client.list_artifacts(child.info.run_id))
    }
    assert kept == {best}


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "models", "weights"), [("all", 1, 2), ("none", 0, 0)])
def test_other_rules(rule, models, weights, tmp_path):
    from mlflow import MlflowClient

    records = [trained(Model(hidden=()), seed=seed) for seed in (0, 1)]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = open_tracking(Tracking(uri=uri, weights=rule))
    tracker.open_sweep(new_sweep({r.run_id: r.config for r in records}))
    for record in records:
        tracker.finished(record)
    tracker.close()
    client = MlflowClient(uri)
    assert len(client.search_logged_models(["1"])) == models
    runs = client.search_runs(["1"], "tags.`harness.kind` = 'run'")
    names = [f.path for run in runs for f in client.list_artifacts(run.info.run_id)]
    assert names.count("weights.safetensors") == weights


@pytest.mark.slow
def test_points_have_no_model(sweep):
    _, client, _, children, _ = sweep
    run = RunConfig(
        data=Data(name="moons"), loss=Loss(name="max_margin"), model=Model(hidden=(4,)),
        train=Train(steps=1),
    )  # fmt: skip
    child = next(iter(children.values()))
    assert serving.log_model(train([run])[0], child.info.run_id, client) is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_served_over_http(sweep, tmp_path):
    """`mlflow models serve` answers real requests with the module's probabilities; 400 if wrong."""
    uri, _, records, _, parent = sweep
    best = min(records, key=lambda r: r.summary["nll/val"])
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", parent.data.tags["harness.best_model"], "-h", "127.0.0.1", "-p", str(port)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # uvicorn
    log = (tmp_path / "serve.log").open("wb")
    server = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
    )
    try:
        wait_for(server, f"http://127.0.0.1:{port}/ping", tmp_path / "serve.log")
        address = f"http://127.0.0.1:{port}/invocations"
        split = {"columns": ["context"], "data": [[text] for text in CONTEXTS]}
        status, answer = post(address, {"dataframe_split": split})
        assert status == 200
        got = [[row[symbol] for symbol in best.symbols] for row in answer["predictions"]]
        np.testing.assert_allclose(got, module_probabilities(best), rtol=1e-12)
        status, answer = post(address, {"dataframe_split": split | {"data": [["a#"]]}})
        assert status == 400
        assert "allowed: the symbols" in json.dumps(answer)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
        log.close()


def wait_for(server, url, log):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
        try:
            with OPENER.open(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer: {log.read_text()[-2000:]}")


def post(url, body):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with OPENER.open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
