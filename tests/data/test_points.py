"""Points of a user's own and runs without validation, on both kernels."""

import dataclasses

import numpy as np
import pytest
import torch

from harness import LossSpec, RunConfig, register, train
from harness.components.losses import LOSSES
from harness.components.sources.points import of_table
from harness.config.groups import Data, Engine, Init, Loss, Model, Optim, Train
from harness.data.dataset import load_data
from harness.engine.batches import draw_examples
from harness.engine.chunk import BACKENDS
from harness.errors import ConfigError, DataError
from harness.records.ranking import yardstick
from harness.records.record import table_row

ALL = (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "x", "y", "said"),
    [
        ("0,1,-1\n2,3,1\n", [[0, 1], [2, 3]], [-1, 1], ()),
        ("a,b,label\n0,1,-1\n\n2,3,+1\n", [[0, 1], [2, 3]], [-1, 1], ("taken as names: 'a', 'b'",)),
        ("0.5;red\n1e3;blue\n-2;red\n", [[0.5], [1000], [-2]], [1, -1, 1], ("'blue' is taken",)),
        ("1\t2\t3\t0\n4\t5\t6\t1\n", [[1, 2, 3], [4, 5, 6]], [-1, 1], ("'0.0' is taken as -1",)),
    ],
)
def test_tables_of_points(text, x, y, said):
    found = of_table(text, "here")
    assert found.x_NI.tolist() == x and found.y_N.tolist() == y
    assert found.x_NI.dtype == np.float32
    assert len(found.notes) == len(said)
    assert all(part in note for part, note in zip(said, found.notes, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 points"),
        ("1,1\n", "1 points"),
        ("1\n2\n", "one column"),
        ("1,2,1\n1,-1\n", "line 2: 2 columns, where line 1 has 3"),
        ("1,1\nnan,-1\n", "line 2: 'nan' in column 1"),
        ("1,1\n1e39,-1\n", "'1e39' in column 1"),
        ("1,1\nx,-1\n", "'x' in column 1"),
        ("1,1\n2,1\n", "has 1 labels"),
        ("1,a\n2,b\n3,c\n", "has 3 labels ('a', 'b', 'c')"),
        ("1,2\n2,3\n", "has 2 labels ('2.0', '3.0'); allowed: -1 and 1"),
    ],
)
def test_tables_that_cannot_be_used(text, said):
    with pytest.raises(DataError) as caught:
        of_table(text, "points.csv")
    assert said in str(caught.value) and "points.csv" in str(caught.value)


def test_too_few_points_for_three_splits_name_the_remedy(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("0,1\n1,-1\n")
    with pytest.raises(DataError, match="split is empty"):
        load_data(Data(name="points", path=str(path)))
    data = load_data(Data(name="points", path=str(path), split=ALL))
    assert data.held == ("train",) and data.train.n == 2 and data.val.n == 0


@pytest.mark.parametrize(
    ("split", "name"),
    [((1.0, 0.0, 0.0), "census"), ((0.0, 0.5, 0.5), "points"), ((0.5, 0.5), "points")],
)
def test_splits_that_cannot_be(split, name):
    with pytest.raises(ConfigError, match=r"data\.split is .*allowed: three shares"):
        Data(name=name, split=split)


def test_no_validation_no_early_stopping():
    with pytest.raises(ConfigError, match=r"early_stopping is 3.*nothing to validate on"):
        RunConfig(
            data=Data(name="four_points", split=ALL), loss=Loss(name="max_margin"),
            train=Train(early_stopping=3),
        )  # fmt: skip


def test_batch_sizes():
    assert Train(batch_size="full").batch_size == "full"
    with pytest.raises(ConfigError, match=r"batch_size is 'ful'; allowed: full, or a whole number"):
        Train(batch_size="ful")
    assert draw_examples(0, 0, 4, "full").tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("kernel", list(BACKENDS))
def test_full_batches_are_gradient_descent(kernel):
    """Ten steps on the lecture's four points, by torch.optim.SGD on all of them, in float64."""
    run = RunConfig(
        data=Data(name="four_points", split=ALL), model=Model(hidden=(4, 4)),
        loss=Loss(name="squared_error"), optim=Optim(lr=0.05, schedule="constant"),
        init=Init(scheme="kaiming"), train=Train(steps=10, batch_size="full", eval_every=10),
        engine=Engine(kernel=kernel, dtype="float64"),
    )  # fmt: skip
    begin = train([dataclasses.replace(run, train=Train(steps=0, batch_size="full"))])[0]
    (record,) = train([run])
    data = load_data(run.data)
    x, y = torch.from_numpy(data.train.x).double(), torch.from_numpy(data.train.y).double()
    net = begin.module().double().train()
    sgd = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(10):
        sgd.zero_grad()
        ((net(x)[:, 0] - y) ** 2).mean().backward()
        sgd.step()
    assert record.summary["loss/train"] == pytest.approx(
        float(((net(x)[:, 0] - y) ** 2).mean().detach()), rel=1e-9
    )
    for name, weight in record.module().state_dict().items():
        assert torch.allclose(weight.double(), net.state_dict()[name], atol=1e-12)


@pytest.mark.parametrize("kernel", list(BACKENDS))
def test_full_batches_of_a_loss_of_ones_own(kernel):
    own = LossSpec(value=LOSSES.get("squared_error").value, kind="binary")
    register("own_squares", own)
    runs = [
        RunConfig(
            data=Data(name="four_points", split=ALL), model=Model(hidden=(4,)),
            loss=Loss(name=name), train=Train(steps=10, batch_size="full"),
            engine=Engine(kernel=kernel),
        )
        for name in ("own_squares", "squared_error")
    ]  # fmt: skip
    left, right = (record.summary["loss/train"] for record in train(runs))
    assert left == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("kernel", list(BACKENDS))
def test_what_has_no_examples_is_absent(kernel):
    run = RunConfig(
        data=Data(name="four_points", split=ALL), model=Model(hidden=(4, 4)),
        loss=Loss(name="squared_error"), optim=Optim(lr=0.1),
        train=Train(steps=300, batch_size="full"), engine=Engine(kernel=kernel),
    )  # fmt: skip
    (record,) = train([run])
    numbers = {**record.summary, **record.series}
    assert not [name for name in numbers if name.endswith(("/val", "/test", "_val", "nll/gap"))]
    assert record.summary["loss/train"] < 1e-3 and record.verdict == "unvalidated"
    assert yardstick([table_row(record.to_plain())]).metric == "nll/train"
