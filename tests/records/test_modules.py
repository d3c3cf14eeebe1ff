"""The module a run leaves behind computes what the engine computed, for every kind of net."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.config.groups import Data, Engine, Init, Loss, Model, Optim, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.evaluation import Evaluator
from harness.engine.network import Network
from harness.engine.train import train
from harness.errors import DataError, HarnessError
from harness.records.modules import module_of

SMALL = Data(name="census", fraction=0.05)
NETS = [
    *[Model(n_embd=4, hidden=(11,), activation=a) for a in ("tanh", "relu", "gelu", "linear")],
    *[
        Model(n_embd=4, hidden=(9, 5), activation=a, batch_norm=True)
        for a in ("tanh", "relu", "gelu", "linear")
    ],
    Model(n_embd=4, hidden=()),
]
# float64: a few roundings apart (another order of sums). float32: the engine's tanh is
# 2 sigmoid(2x) - 1, exact to some 1e-7, and logits here are of order 1
CLOSE = {"float64": {"rtol": 1e-12, "atol": 1e-12}, "float32": {"rtol": 1e-5, "atol": 1e-5}}


def trained(model: Model, dtype: str = "float64", **groups):
    run = RunConfig(
        data=groups.pop("data", SMALL), model=model, engine=Engine(dtype=dtype, device="cpu"),
        init=Init(bias="normal", bias_scale=0.3), optim=Optim(lr=0.1),
        train=Train(steps=30, batch_size=8, eval_every=15), **groups,
    )  # fmt: skip
    (record,) = train([run])
    return record


def engine_logits(record) -> tuple[torch.Tensor, torch.Tensor]:
    """(distinct validation inputs, the engine's evaluation logits for them)."""
    dtype = getattr(torch, record.config.engine.dtype)
    weights = {name: tensor.double().numpy() for name, tensor in record.weights.items()}
    net = Network([weights], record.config.model.activation, dtype, torch.device("cpu"))
    evaluator = Evaluator(net, [record.config], load_data(record.config.data), ["val"])
    z_KCV = evaluator.forward()
    return evaluator.set.inputs[: evaluator.set.C], z_KCV[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "model", NETS, ids=lambda m: f"{m.activation}-{len(m.hidden)}-{'bn' if m.batch_norm else ''}"
)
def test_logits_are_the_engines(model, dtype):
    record = trained(model, dtype)
    inputs, want = engine_logits(record)
    with torch.no_grad():
        got = record.module()(inputs)
    assert got.dtype == want.dtype
    torch.testing.assert_close(got, want, **CLOSE[dtype])


@pytest.mark.parametrize("model", NETS[-2:], ids=["bn", "linear"])
def test_cross_entropy_of_the_module_is_the_recorded_one(model):
    """nll/val over every example, by torch's own loss, is the record's number."""
    record = trained(model, loss=Loss(name="brier"))
    split = load_data(record.config.data).val
    with torch.no_grad():
        logits = record.module()(torch.from_numpy(split.x))
    nll = torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.y)).item()
    assert nll == pytest.approx(record.summary["nll/val"], rel=1e-12)


def test_points_give_one_logit():
    record = trained(Model(hidden=(7,)), data=Data(name="moons"), loss=Loss(name="squared_error"))
    inputs, want = engine_logits(record)
    net = record.module()
    with torch.no_grad():
        torch.testing.assert_close(net(inputs.double()), want, **CLOSE["float64"])
    assert want.shape[1] == 1
    with pytest.raises(DataError, match="points"):
        net.encode("emma")


def test_it_has_the_vocabulary_and_is_ordinary():
    """Encoding is the data set's; state_dict, train() and gradients work as in any module."""
    record = trained(NETS[4])
    data, net = load_data(record.config.data), record.module()
    assert not net.training
    assert net.symbols == data.symbols
    assert net.block_size == data.block_size
    texts = ["", "em", "olivia", "..b"]
    np.testing.assert_array_equal(net.encode(texts).numpy(), data.encode(texts))
    with pytest.raises(DataError, match="'#'"):
        net.encode("a#")
    twin = record.module()
    twin.load_state_dict(net.state_dict())
    net.train()
    net(net.encode(texts)).logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_it_owns_its_weights():
    """Training the module on leaves the record alone."""
    record = trained(NETS[0])
    before = record.weights["output.bias"].clone()
    with torch.no_grad():
        record.module().output.bias.add_(1)
    assert torch.equal(record.weights["output.bias"], before)


def test_dropped_weights_are_said():
    record = trained(NETS[-1])
    with pytest.raises(HarnessError, match="not kept"):
        module_of(record.config, {}, record.symbols)
