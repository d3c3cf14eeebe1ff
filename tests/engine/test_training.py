"""The engine against the plain oracle (tests/reference.py, which shares no code with it), and
against itself: a run's bits must not depend on its neighbours, its place or the chunking."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from harness.config.groups import Data, Engine, Init, Loss, Model, Optim, Reg, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.batches import BLOCK
from harness.engine.chunk import Chunk, Hooks, Interrupted
from harness.engine.device import one_thread
from harness.engine.initialization import initial_weights
from harness.engine.stacked import Stacked
from harness.engine.train import train
from harness.numerics.randomness import stream
from tests.support.reference import reference_gradients, reference_train

SMALL = Data(name="census", fraction=0.05)
CLASS_LOSSES = ["cross_entropy", "nll", "mse", "brier", "bce", "hinge", "crammer_singer"]


def tiny(**groups) -> RunConfig:
    """A small run in float64, where only the order of sums separates engine and oracle."""
    base = {
        "data": SMALL,
        "model": Model(n_embd=4, hidden=(11,)),
        "train": Train(steps=12, batch_size=6, eval_every=4),
        "engine": Engine(dtype="float64", device="cpu"),
        "init": Init(bias="normal", bias_scale=0.3),
    }
    return RunConfig(**{**base, **groups})


def oracle(run: RunConfig):
    """reference_train from the same start, batches and masks."""
    data = load_data(run.data)
    weights = {n: torch.from_numpy(a) for n, a in initial_weights(run.resolved(), data).items()}
    full, seed = run.resolved(), run.resolved().train.batch_seed
    batches, masks = [], []
    for step in range(run.train.steps):
        block, place = divmod(step, BLOCK)
        draw = stream(seed, f"batches/{block}").integers(
            0, data.train.n, (BLOCK, run.train.batch_size)
        )
        batches.append(torch.from_numpy(draw[place]))
        if run.reg.name == "dropout":
            layers = []
            for i, width in enumerate(run.model.hidden):
                B, words = run.train.batch_size, BLOCK * width * run.train.batch_size // 4
                raw = stream(seed, f"dropout/{i}/{block}").bit_generator.random_raw(words)
                u = np.frombuffer(raw.astype("<u8").tobytes(), "<u2").reshape(BLOCK, width, B)
                layers.append(torch.from_numpy(run.reg.strength <= u[place].T / 65536))
            masks.append(layers)
    return reference_train(full, data, weights, batches, masks or None)


def assert_agrees(run: RunConfig, rtol: float = 1e-9) -> None:
    """Weights and whole-split losses equal the oracle's; float64, the order of sums differs."""
    (got,) = train([run])
    weights, series = oracle(run)
    for name, want in weights.items():
        if name.endswith("num_batches_tracked"):
            continue
        torch.testing.assert_close(got.weights[name], want, rtol=rtol, atol=1e-11, msg=name)
    for name in ("loss/train", "loss/val", "nll/train", "nll/val", "accuracy/val", "penalty"):
        if name in series:
            steps, values = series[name]
            np.testing.assert_array_equal(got.series[name][0], steps, err_msg=name)
            np.testing.assert_allclose(got.series[name][1], values, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("source", ["census", "moons"])
def test_a_diverged_run_has_no_score_where_it_has_no_numbers(source):
    """No comparison with NaN is true: by rank alone every guess of such a net would be right."""
    loss = "mse" if source == "census" else "squared_error"
    (record,) = train(
        [
            RunConfig(
                data=Data(name=source, fraction=0.02), loss=Loss(name=loss), optim=Optim(lr=1e6),
                train=Train(steps=20, eval_every=10),
            )
        ]
    )  # fmt: skip
    assert record.verdict == "diverged"
    assert record.series["accuracy/val"][0].tolist() == [0]
    final = {"accuracy", "top3", "brier", "ece"} & {n.split("/")[0] for n in record.summary}
    assert final == set()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_norm_is_that_of_the_linear_layers_alone(batch_norm):
    (record,) = train([tiny(model=Model(n_embd=3, hidden=(8, 5), batch_norm=batch_norm))])
    linear = [m.weight for m in record.module().modules() if isinstance(m, torch.nn.Linear)]
    assert len(linear) == 3
    whole = torch.nn.utils.parameters_to_vector(linear).double()
    assert record.summary["weights/norm"] == pytest.approx(whole.detach().norm().item(), rel=1e-6)


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_train_as_the_oracle(name, reduction):
    assert_agrees(tiny(loss=Loss(name=name, reduction=reduction)))


@pytest.mark.parametrize("name", ["cross_entropy", "nll", "mse", "brier", "bce"])
def test_label_smoothing_trains_as_the_oracle(name):
    assert_agrees(tiny(loss=Loss(name=name, label_smoothing=0.1)))


def test_unmatched_and_summed_batches_train_as_the_oracle():
    loss = Loss(name="mse", match_gradients=False, batch_reduction="sum")
    assert_agrees(tiny(loss=loss, optim=Optim(lr=0.01)))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "linear"])
@pytest.mark.parametrize("hidden", [(), (11,), (9, 5)])
def test_activations_and_depths_train_as_the_oracle(activation, hidden):
    assert_agrees(tiny(model=Model(n_embd=4, hidden=hidden, activation=activation)))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_batch_norm_trains_as_the_oracle(activation):
    model = Model(n_embd=4, hidden=(9, 5), activation=activation, batch_norm=True)
    assert_agrees(tiny(model=model), rtol=1e-8)


@pytest.mark.parametrize("name", ["l2", "l2_sum", "l1", "weight_decay", "dropout", "max_norm"])
@pytest.mark.parametrize("optim", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("scope", ["weights", "all"])
def test_regularizers_train_as_the_oracle(name, optim, scope):
    strength = {"l2": 3.0, "dropout": 0.3, "max_norm": 0.8}.get(name, 0.01)
    lr = {"sgd": 0.1, "momentum": 0.05}.get(optim, 0.01)
    momentum = 0.9 if optim == "momentum" else 0.0
    assert_agrees(
        tiny(
            reg=Reg(name=name, strength=strength, scope=scope),
            optim=Optim(name=optim, lr=lr, embed_lr=2 * lr, momentum=momentum),
        )
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "step"}, {"schedule": "constant"}, {"schedule": "cosine"},
        {"schedule": "linear"},
        {"schedule": "step", "schedule_at": 0.75, "schedule_factor": 0.3, "warmup": 5},
        {"schedule": "cosine", "warmup": 7},
    ],
)  # fmt: skip
def test_schedules_train_as_the_oracle(settings):
    assert_agrees(tiny(optim=Optim(**settings)))


@pytest.mark.parametrize("optim", ["sgd", "momentum", "adam", "adamw"])
def test_rates_that_follow_the_width_train_as_the_oracle(optim):
    own = {"momentum": 0.9} if optim == "momentum" else {}
    lr = 0.01 if optim.startswith("adam") else 0.05
    assert_agrees(
        tiny(
            model=Model(n_embd=4, hidden=(12,)), reg=Reg(name="l2", strength=1.0),
            optim=Optim(name=optim, lr=lr, scaling="mup", base_width=8, **own),
        )
    )  # fmt: skip


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy", "max_margin"])
@pytest.mark.parametrize("source", ["points", "moons"])
def test_binary_sources_train_as_the_oracle(loss, source):
    data = Data(name=source, words=200)
    model = Model(hidden=(6, 4), activation="relu")
    assert_agrees(tiny(data=data, loss=Loss(name=loss), model=model))


def mixed(K: int, steps: int = 40) -> list[RunConfig]:
    """Runs of one shape that differ in everything that may differ inside one program."""
    losses = ["cross_entropy", "hinge", "mse", "bce", "nll", "brier", "crammer_singer"]
    regs = [
        Reg(), Reg(name="l2", strength=3.0), Reg(name="dropout", strength=0.2),
        Reg(name="max_norm", strength=0.9), Reg(name="l1", strength=1e-4),
        Reg(name="weight_decay", strength=0.01), Reg(name="l2_sum", strength=1e-4, scope="all"),
    ]  # fmt: skip
    return [
        RunConfig(
            data=SMALL,
            model=Model(n_embd=5, hidden=(24, 13)),
            loss=Loss(name=losses[k % 7], label_smoothing=0.1 if k % 14 == 0 else 0.0),
            reg=regs[(k * 3 + 1) % 7],
            init=Init(weight_scale=0.2 + 0.4 * (k % 5), bias="normal" if k % 2 else "zero"),
            optim=Optim(lr=0.02 * (1 + k % 4), embed_lr=0.1 if k % 3 == 0 else None),
            train=Train(steps=steps, batch_size=7, eval_every=10),
            seed=k % 4,
        )
        for k in range(K)
    ]


def assert_same_bits(a, b) -> None:
    """Two records agree in every weight and every number."""
    assert a.run_id == b.run_id
    for name, tensor in a.weights.items():
        assert torch.equal(tensor, b.weights[name]), name
    assert a.series.keys() == b.series.keys()
    for name, (steps, values) in a.series.items():
        np.testing.assert_array_equal(steps, b.series[name][0], err_msg=name)
        np.testing.assert_array_equal(values, b.series[name][1], err_msg=name)
    timing = {"speed/run_steps_per_s"}
    assert {n: v for n, v in a.summary.items() if n not in timing} == {
        n: v for n, v in b.summary.items() if n not in timing
    }


@pytest.fixture(scope="module")
def alone(form):
    """Each of 21 mixed runs trained by itself."""
    return [train([run])[0] for run in mixed(21)]


@pytest.mark.parametrize("chunk", [2, 3, 5, 16, 21])
def test_a_run_has_the_same_bits_in_any_stack(alone, chunk):
    runs = [dataclasses.replace(r, engine=Engine(chunk=chunk)) for r in mixed(21)]
    for one, stacked in zip(alone, train(runs), strict=True):
        assert_same_bits(one, stacked)


def test_order_and_absence_of_neighbours_change_nothing(alone):
    picked = [17, 3, 11, 0, 8]
    for place, record in zip(picked, train([mixed(21)[p] for p in picked]), strict=True):
        assert_same_bits(alone[place], record)


def test_a_diverging_run_leaves_its_neighbours_bits_alone(alone):
    bad = dataclasses.replace(mixed(21)[2], optim=Optim(lr=1e8))
    runs = [*mixed(21)[:10], bad, *mixed(21)[10:]]
    records = train(runs)
    assert records.pop(10).verdict == "diverged"
    for one, stacked in zip(alone, records, strict=True):
        assert_same_bits(one, stacked)


@pytest.mark.parametrize("model", [Model(n_embd=5, hidden=(13,), batch_norm=True),
                                   Model(n_embd=3, hidden=(7,), activation="gelu"),
                                   Model(n_embd=3, hidden=())])  # fmt: skip
@pytest.mark.parametrize("optim", ["sgd", "adam"])
def test_other_shapes_have_the_same_bits_in_any_stack(model, optim):
    runs = [
        dataclasses.replace(r, model=model, optim=Optim(name=optim, lr=0.01)) for r in mixed(9, 25)
    ]
    for run, stacked in zip(runs, train(runs), strict=True):
        assert_same_bits(train([run])[0], stacked)


@pytest.mark.parametrize("cut", [0, 5, 20, 31])
@pytest.mark.parametrize("optim", ["sgd", "adam"])
def test_an_interrupted_chunk_goes_on_with_the_same_bits(cut, optim):
    runs = [dataclasses.replace(r, optim=Optim(name=optim, lr=0.02)) for r in mixed(6)]
    whole = train(runs)
    data, kept = load_data(SMALL), {}
    with one_thread():
        hooks = Hooks(on_states=kept.update, stopping=lambda: first.step >= cut)
        first = Chunk(runs, data, hooks=hooks)
        with pytest.raises(Interrupted):
            first.run()
        states = [kept[k] for k in (4, 1, 3)]  # resumed in another company and order
        rest = Chunk([runs[k] for k in (4, 1, 3)], data, states=states).run()
    for place, record in zip((4, 1, 3), rest, strict=True):
        assert_same_bits(whole[place], record)


def test_zero_steps_change_nothing():
    run = tiny(train=Train(steps=0))
    (record,) = train([run])
    for name, want in initial_weights(run.resolved(), load_data(SMALL)).items():
        assert torch.equal(record.weights[name], torch.from_numpy(want)), name
    assert record.series["nll/val"][0].tolist() == [0]


def test_equal_runs_are_trained_once_and_returned_in_order():
    runs = [tiny(seed=1), tiny(seed=0), tiny(seed=1)]
    records = train(runs)
    assert records[0] is records[2]
    assert [r.config.seed for r in records] == [1, 0, 1]


def test_early_stopping_ends_a_run_at_its_patience():
    run = RunConfig(
        data=Data(fraction=0.01), model=Model(hidden=(64,)), optim=Optim(schedule="constant"),
        train=Train(steps=600, eval_every=20, early_stopping=3),
    )  # fmt: skip
    (record,) = train([run])
    steps, values = record.series["nll/val"]
    assert steps[-1] < 600
    assert len(values) - 1 - int(np.argmin(values)) == 3
    assert record.summary["nll/val"] == pytest.approx(values[-1], rel=1e-12)


def test_runs_of_one_seed_see_the_same_batches():
    runs = [tiny(seed=3), tiny(seed=3, init=Init(weight_scale=2.0)), tiny(seed=4)]
    batches = Stacked([run.resolved("cpu") for run in runs], load_data(SMALL)).batches
    _, target_KB = batches.load(200)
    assert torch.equal(target_KB[0], target_KB[1])
    assert not torch.equal(target_KB[0], target_KB[2])


@pytest.mark.parametrize("optim", ["sgd", "adam"])
def test_gradient_spread_is_the_oracles(optim):
    """grad/std at step 0, stored gradients or not, is that of autograd on the first batch."""
    run = tiny(optim=Optim(name=optim, lr=0.03, embed_lr=0.07))
    data = load_data(run.data)
    (record,) = train([run])
    draw = stream(0, "batches/0").integers(0, data.train.n, (BLOCK, run.train.batch_size))
    weights = {n: torch.from_numpy(a) for n, a in initial_weights(run.resolved(), data).items()}
    want = reference_gradients(run.resolved(), data, weights, draw[0])
    for layer in ("embedding", "hidden.0", "output"):
        steps, values = record.series[f"grad/std/{layer}"]
        assert steps[0] == 0
        spread = want[f"{layer}.weight"].std(unbiased=False).item()
        assert values[0] == pytest.approx(spread, rel=1e-9)
