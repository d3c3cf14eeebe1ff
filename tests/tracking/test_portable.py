"""One safetensors file holds a network and its meaning, and nothing else is taken for one."""

import pickle

import pytest
import torch
from safetensors.torch import load, save

from harness.config.groups import Data, Model, Train
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.errors import DataError
from harness.tracking.portable import pack, unpack


@pytest.fixture(scope="module")
def record():
    run = RunConfig(
        data=Data(fraction=0.05), model=Model(n_embd=3, hidden=(5,)), train=Train(steps=2)
    )
    return train([run])[0]


def test_there_and_back(record):
    weights, note = unpack(pack(record))
    assert weights.keys() == record.weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in record.weights.items())
    assert tuple(note["symbols"]) == record.symbols
    assert (note["block_size"], note["activation"], note["module"]) == (3, "tanh", "Tanh")
    assert note["run_id"] == record.run_id


def test_any_reader_reads_the_tensors(record):
    assert load(pack(record)).keys() == record.weights.keys()


def test_the_same_run_gives_the_same_bytes(record):
    assert pack(record) == pack(record)


@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", pickle.dumps({"a": 1}), save({"a": torch.zeros(2)})],
    ids=["empty", "text", "pickle", "foreign"],
)
def test_other_files_are_refused(content):
    with pytest.raises(DataError, match=r"weights\.safetensors"):
        unpack(content)
