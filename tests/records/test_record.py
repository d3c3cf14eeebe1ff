"""Records: plain form and back, curves and weights as files, the network to take away."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.config.groups import Data, Model, Optim
from harness.config.run import RunConfig
from harness.errors import HarnessError
from harness.records.record import (
    RunRecord,
    curves_parquet,
    environment,
    read_curves,
    read_weights,
    table_row,
    weights_bytes,
)  # fmt: skip
from harness.records.saved import config_yaml, overrides_of
from tests.support.made import made_record, same_record


def test_plain_form_survives_json():
    record = made_record(3)
    plain = json.loads(json.dumps(record.to_plain()))
    assert same_record(RunRecord.from_plain(plain, record.series, record.weights), record)


def test_what_is_not_finite_is_absent():
    steps = [0, 10, 20]
    record = made_record(
        series={"nll/val": (steps, [3.0, np.inf, np.nan]), "penalty": (steps, [np.nan] * 3)},
        summary={"nll/val": np.nan, "loss/val": np.inf, "gap/nll": 0.5},
        verdict="diverged",
    )
    assert list(record.series) == ["nll/val"]
    assert record.series["nll/val"][0].tolist() == [0]
    assert record.summary == {"gap/nll": 0.5}


def test_unknown_verdicts_and_uneven_series_are_refused():
    with pytest.raises(ValueError, match="verdict is 'good'"):
        made_record(verdict="good")
    with pytest.raises(ValueError, match=r"series nll/val: steps \(2,\) and values \(3,\)"):
        made_record(series={"nll/val": ([0, 1], [1.0, 2.0, 3.0])})


@pytest.mark.parametrize("series", [{}, made_record().series, {"a": ([5], [0.1])}])
def test_curves_come_back_to_the_last_bit(series):
    back = read_curves(curves_parquet(series))
    assert list(back) == list(series)
    for name, (steps, values) in series.items():
        assert back[name][0].tolist() == list(steps)
        assert back[name][1].tobytes() == np.asarray(values, float).tobytes()


def test_weights_come_back_and_equal_weights_have_equal_bytes():
    weights = dict(made_record(1).weights)
    back = read_weights(weights_bytes(weights))
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())
    assert weights_bytes(dict(reversed(weights.items()))) == weights_bytes(weights)
    sliced = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.arange(6.0)[1:3]}
    assert torch.equal(read_weights(weights_bytes(sliced))["a"], sliced["a"])


def test_a_table_row_is_flat():
    row = table_row(made_record(4, scale=0.3).to_plain())
    assert row["init.weight_scale"] == 0.3
    assert row["seed"] == 4
    assert row["nll/val"] == 2.04
    assert row["warnings"] == 1
    assert not any(isinstance(value, dict) for value in row.values())


def test_saved_config_is_read_back_as_the_same_run():
    import yaml

    from harness.config.run import run_config

    config = RunConfig(
        seed=3, optim=Optim(lr=1e-5, embed_lr=1.5e-07), model=Model(hidden=()),
        data=Data(name="file", path='odd: "näme" #1.txt', split=(0.5, 0.25, 0.25)),
    )  # fmt: skip
    assert run_config(yaml.safe_load(config_yaml(config))) == config
    assert overrides_of(config)[:2] == ["data.name=file", 'data.path="odd: \\"näme\\" #1.txt"']
    assert overrides_of(RunConfig()) == []


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_module_computes_what_its_weights_say(hidden, batch_norm):
    """Against the same network written out with matrix products."""
    rng = torch.Generator().manual_seed(0)
    V, n_embd, T = 5, 4, 3
    config = RunConfig(model=Model(n_embd=n_embd, hidden=hidden, batch_norm=batch_norm))
    draw = lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)  # noqa: E731
    weights = {"embedding.weight": draw(V, n_embd)}
    width = T * n_embd
    for i, wide in enumerate(hidden):
        name = f"hidden.{i}"
        weights[f"{name}.weight"] = draw(width, wide)
        if batch_norm:
            for part in ("gamma", "beta", "running_mean"):
                weights[f"{name}.{part}"] = draw(wide)
            weights[f"{name}.running_var"] = draw(wide).square() + 0.1
        else:
            weights[f"{name}.bias"] = draw(wide)
        width = wide
    weights |= {"output.weight": draw(width, V), "output.bias": draw(V)}
    x_BT = torch.tensor([[0, 1, 2], [4, 4, 0]])

    h = weights["embedding.weight"][x_BT].reshape(2, -1)
    for i in range(len(hidden)):
        w = {k.split(".")[2]: t for k, t in weights.items() if k.startswith(f"hidden.{i}.")}
        h = h @ w["weight"]
        if batch_norm:
            h = (h - w["running_mean"]) / (w["running_var"] + 1e-5).sqrt() * w["gamma"] + w["beta"]
        else:
            h = h + w["bias"]
        h = torch.tanh(h)
    want = h @ weights["output.weight"] + weights["output.bias"]

    record = made_record(config=config, weights=weights, symbols=tuple(".abcd"))
    net = record.module()
    torch.testing.assert_close(net(x_BT), want, rtol=1e-12, atol=1e-12)  # float64 roundings
    assert net.symbols == tuple(".abcd")
    assert not net.training


def test_a_record_without_weights_says_how_to_get_them():
    with pytest.raises(HarnessError, match="harness reproduce"):
        dataclasses.replace(made_record(), weights={}).module()


def test_environment_names_code_and_machine():
    found = environment()
    assert {"version", "python", "platform", "torch", "numpy"} <= set(found)
    assert json.loads(json.dumps(found)) == found


def test_importing_records_and_ledger_needs_neither_torch_nor_mlflow():
    code = (
        "import sys, harness.records.ledger, harness.records.manifests, harness.config.settings;"
        "import harness.tracking.tracker;"
        "bad = {'torch', 'mlflow', 'pyarrow', 'pandas', 'scipy', 'hydra'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_provenance_names_the_commit_of_this_tree():
    folder = Path(__file__).parent
    asked = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    if asked.returncode:
        pytest.skip("not a git checkout")
    assert environment()["git_commit"] == asked.stdout.strip()
