"""The oracle answers to arithmetic written out in numpy: a hand loop and one case per rule."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.config.run import run_config
from tests.support.reference import (
    PlainNet,
    data_loss,
    reached,
    reference_gradients,
    reference_train,
)  # fmt: skip

V, T, B, STEPS, EMBED, WIDTH = 5, 3, 4, 6, 2, 7


def toy(seed=0):
    """A data set of random contexts: 40 training examples, 15 and 10 held out."""
    rng = np.random.default_rng(seed)
    sizes = {"train": 40, "val": 15, "test": 10}
    splits = {
        name: SimpleNamespace(x_NT=rng.integers(V, size=(n, T)), y_N=rng.integers(V, size=n))
        for name, n in sizes.items()
    }
    return SimpleNamespace(kind="classes", V=V, **splits)


def start(hidden=(), seed=1, batch_norm=False):
    """Random weights in a record's names and layouts, float64."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return torch.tensor(rng.normal(size=shape) * 0.5)

    out, fan_in = {"embedding.weight": draw(V, EMBED)}, T * EMBED
    for i, width in enumerate(hidden):
        out[f"hidden.{i}.weight"] = draw(fan_in, width)
        if batch_norm:
            out |= {f"hidden.{i}.{part}": draw(width) for part in ("gamma", "beta", "running_mean")}
            out[f"hidden.{i}.running_var"] = 0.5 + draw(width).square()
        else:
            out[f"hidden.{i}.bias"] = draw(width)
        fan_in = width
    return out | {"output.weight": draw(fan_in, V), "output.bias": draw(V)}


def batches(seed=2):
    return np.random.default_rng(seed).integers(40, size=(STEPS, B))


def config(hidden=(), **groups):
    train = {"steps": STEPS, "batch_size": B, "eval_every": 2} | groups.pop("train", {})
    model = {"hidden": list(hidden), "n_embd": EMBED} | groups.pop("model", {})
    return run_config({"train": train, "model": model, **groups})


def numpy_gradients(w, x, y, keep=None, drop=0.0):
    """Mean cross-entropy's gradients of the linear net, or of one tanh layer, by the chain rule."""
    h0 = w["embedding.weight"][x].reshape(len(x), -1)
    h1 = np.tanh(h0 @ w["hidden.0.weight"] + w["hidden.0.bias"]) if "hidden.0.bias" in w else h0
    scale = 1.0 if keep is None else keep / (1 - drop)
    z = (h1 * scale) @ w["output.weight"] + w["output.bias"]
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    dz = (p - np.eye(V)[y]) / len(x)
    g = {"output.weight": (h1 * scale).T @ dz, "output.bias": dz.sum(0)}
    dh = dz @ w["output.weight"].T
    if "hidden.0.bias" in w:
        da = dh * scale * (1 - h1**2)
        g |= {"hidden.0.weight": h0.T @ da, "hidden.0.bias": da.sum(0)}
        dh = da @ w["hidden.0.weight"].T
    g["embedding.weight"] = np.zeros((V, EMBED))
    np.add.at(g["embedding.weight"], x.ravel(), dh.reshape(-1, EMBED))
    return g


def hand_loop(w, data, rows_by_step, move, lr=lambda t: 0.1, embed_lr=None, extra=None):
    """Ten lines of training: gradient, plus what a penalty adds, through an update rule."""
    w = {name: t.numpy().copy() for name, t in w.items()}
    state: dict[str, Any] = {}
    for t, rows in enumerate(rows_by_step):
        g = numpy_gradients(w, data.train.x_NT[rows], data.train.y_N[rows])
        for name in w:
            rate = (embed_lr or lr)(t) if name == "embedding.weight" else lr(t)
            slope = g[name] + (extra(name, w[name]) if extra else 0)
            w[name] = move(w[name], slope, rate, state.setdefault(name, {}), t)
    return w


def sgd(w, g, lr, state, t):
    return w - lr * g


def momentum(w, g, lr, state, t):
    state["v"] = 0.9 * state.get("v", 0) + g
    return w - lr * state["v"]


def adam(w, g, lr, state, t):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    m, v = state["m"] / (1 - 0.9 ** (t + 1)), state["v"] / (1 - 0.999 ** (t + 1))
    return w - lr * m / (np.sqrt(v) + 1e-8)


def linear_weight(name):
    return name.endswith(".weight") and name != "embedding.weight"


def same(got, want, rtol=1e-10):
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_allclose(got[name].numpy(), want[name], rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("hidden", [(), (WIDTH,)])
@pytest.mark.parametrize(
    ("optim", "move"),
    [
        ({"name": "sgd"}, sgd),
        ({"name": "momentum", "momentum": 0.9}, momentum),
        ({"name": "adam"}, adam),
        ({"name": "adamw"}, adam),  # no decay unless reg=weight_decay asks for it
    ],
)
def test_optimizers_equal_the_hand_loop(hidden, optim, move):
    data, w = toy(), start(hidden)
    run = config(hidden, optim={"lr": 0.1, "schedule": "constant", **optim})
    got, _ = reference_train(run, data, w, batches())
    same(got, hand_loop(w, data, batches(), move))


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({"schedule": "constant"}, lambda t: 1.0),
        ({"schedule": "step"}, lambda t: 1.0 if t < 3 else 0.1),  # half of 6 steps
        (
            {"schedule": "step", "schedule_at": 0.75, "schedule_factor": 0.3},  # 4.5 of 6
            lambda t: 1.0 if t < 5 else 0.3,
        ),
        ({"schedule": "linear", "schedule_factor": 0.4}, lambda t: 1 - 0.6 * t / STEPS),
        ({"schedule": "cosine"}, lambda t: (1 + math.cos(math.pi * t / STEPS)) / 2),
        ({"schedule": "constant", "warmup": 4}, lambda t: (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)[t]),
    ],
)
def test_schedules_and_the_embedding_rate(settings, factor):
    data, w = toy(), start()
    run = config(optim={"lr": 0.2, "embed_lr": 0.7, **settings})
    got, _ = reference_train(run, data, w, batches())
    want = hand_loop(
        w, data, batches(), sgd, lr=lambda t: 0.2 * factor(t), embed_lr=lambda t: 0.7 * factor(t)
    )
    same(got, want)


@pytest.mark.parametrize("scope", ["weights", "all"])
@pytest.mark.parametrize(
    ("reg", "slope"),
    [
        ("l2", lambda w: 0.3 * 2 * w / w.size),  # d/dw of strength * mean(w^2)
        ("l2_sum", lambda w: 0.3 * 2 * w),
        ("l1", lambda w: 0.3 * np.sign(w)),
        ("weight_decay", lambda w: 0.3 * w),  # under SGD: the same as adding strength * w
    ],
)
def test_penalties_equal_the_hand_loop(scope, reg, slope):
    data, w = toy(), start((WIDTH,))
    run = config(
        (WIDTH,),
        reg={"name": reg, "strength": 0.3, "scope": scope},
        optim={"schedule": "constant"},
    )
    got, series = reference_train(run, data, w, batches())
    want = hand_loop(
        w, data, batches(), sgd,
        extra=lambda name, v: slope(v) if scope == "all" or linear_weight(name) else 0,
    )  # fmt: skip
    same(got, want)
    assert ("penalty" in series) == (reg != "weight_decay")


def test_scopes_name_what_they_reach():
    """Weights: linear layers' matrices. All: everything trained, so no running statistics."""
    w = start((WIDTH,), batch_norm=True)
    for scope, spared in (("weights", ("embedding", "bias", "gamma", "beta")), ("all", ())):
        run = config((WIDTH,), reg={"name": "l2", "strength": 1, "scope": scope})
        want = {n for n in w if "running" not in n and not any(part in n for part in spared)}
        assert set(reached(run, PlainNet(w, "tanh"))) == want


def test_weight_decay_is_decoupled_from_adam():
    """Decay bypasses the moments: w (1 - lr strength), then Adam's own step (AdamW)."""
    data, w = toy(), start()
    run = config(
        optim={"name": "adamw", "lr": 0.1, "schedule": "constant"},
        reg={"name": "weight_decay", "strength": 0.5, "scope": "all"},
    )
    got, _ = reference_train(run, data, w, batches())

    def decayed(w, g, lr, state, t):
        return adam(w, g, lr, state, t) - lr * 0.5 * w

    same(got, hand_loop(w, data, batches(), decayed))


def test_max_norm_bounds_each_unit():
    """Columns of (I, O) longer than the bound are scaled onto it; shorter ones stay; 0 is off."""
    data, w = toy(), start()
    free = hand_loop(w, data, batches()[:1], sgd)
    norms = np.linalg.norm(free["output.weight"], axis=0)
    bound = float(np.median(norms))
    groups = {"optim": {"schedule": "constant"}, "train": {"steps": 1}}
    run = config(reg={"name": "max_norm", "strength": bound}, **groups)
    got, _ = reference_train(run, data, w, batches())
    want = free | {"output.weight": free["output.weight"] * np.minimum(1, bound / norms)}
    same(got, want)
    off, _ = reference_train(config(reg={"name": "max_norm"}, **groups), data, w, batches())
    same(off, free)


def test_dropout_takes_the_given_masks():
    """Kept units are divided by 1 - p after the nonlinearity; evaluation uses all of them."""
    data, w, rows = toy(), start((WIDTH,)), batches()[0]
    keep = np.random.default_rng(3).random((B, WIDTH)) > 0.4
    run = config((WIDTH,), reg={"name": "dropout", "strength": 0.4}, train={"steps": 1})
    got = reference_gradients(run, data, w, rows, [torch.tensor(keep)])
    x, y = data.train.x_NT[rows], data.train.y_N[rows]
    same(got, numpy_gradients({n: t.numpy() for n, t in w.items()}, x, y, keep, 0.4))
    _, dropped = reference_train(run, data, w, batches(), [[torch.tensor(keep)]])
    _, plain = reference_train(config((WIDTH,), train={"steps": 1}), data, w, batches())
    assert dropped["loss/val"][1][0] == plain["loss/val"][1][0]
    assert dropped["loss/val"][1][1] != plain["loss/val"][1][1]


def test_batch_norm_by_hand():
    """Before the activation, gamma and beta instead of a bias, slow unbiased running variance."""
    data, w, rows = toy(), start((WIDTH,), batch_norm=True), batches()[:1]
    run = config((WIDTH,), model={"batch_norm": True}, train={"steps": 1})
    got, series = reference_train(run, data, w, rows)
    n = {name: t.numpy() for name, t in w.items()}
    a = n["embedding.weight"][data.train.x_NT[rows[0]]].reshape(B, -1) @ n["hidden.0.weight"]
    for part, fresh in (("mean", a.mean(0)), ("var", a.var(0, ddof=1))):
        want = 0.999 * n[f"hidden.0.running_{part}"] + 0.001 * fresh
        np.testing.assert_allclose(got[f"hidden.0.running_{part}"].numpy(), want, rtol=1e-12)
    a = n["embedding.weight"][data.val.x_NT].reshape(15, -1) @ n["hidden.0.weight"]
    a = (a - n["hidden.0.running_mean"]) / np.sqrt(n["hidden.0.running_var"] + 1e-5)
    z = np.tanh(a * n["hidden.0.gamma"] + n["hidden.0.beta"]) @ n["output.weight"]
    z = z + n["output.bias"]
    nll = np.log(np.exp(z).sum(-1)) - z[np.arange(15), data.val.y_N]
    assert series["nll/val"][1][0] == pytest.approx(nll.mean(), rel=1e-12)


def test_matching_and_batch_sum_spare_the_penalty():
    """Gradient = multiplier * (sum or mean over the batch) of the data's, plus the penalty's."""
    data, w, rows = toy(), start(), batches()[0]

    def slope(strength=0.0, **loss):
        reg = {"name": "l2_sum", "strength": strength}
        run = config(loss={"name": "mse", **loss}, reg=reg)
        return reference_gradients(run, data, w, rows)["output.weight"].numpy()

    plain = slope(match_gradients=False)
    penalty = 0.2 * 2 * w["output.weight"].numpy()
    np.testing.assert_allclose(slope(), V / 2 * plain, rtol=1e-12)
    np.testing.assert_allclose(slope(batch_reduction="sum"), B * V / 2 * plain, rtol=1e-12)
    np.testing.assert_allclose(slope(0.2, batch_reduction="sum") - penalty, B * V / 2 * plain)
    np.testing.assert_allclose(slope(reduction="sum"), V / 2 * plain, rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "linear"])
def test_forward_by_hand(activation):
    """Two hidden layers and each nonlinearity, gelu as x times the normal distribution function."""
    w = start((4, 3))
    n = {name: t.numpy() for name, t in w.items()}
    nonlinear: Any = {
        "tanh": np.tanh,
        "relu": lambda v: np.maximum(v, 0),
        "gelu": lambda v: v * 0.5 * (1 + np.vectorize(math.erf)(v / math.sqrt(2))),
        "linear": lambda v: v,
    }[activation]
    x = toy().train.x_NT
    h = n["embedding.weight"][x].reshape(len(x), -1)
    for i in range(2):
        h = nonlinear(h @ n[f"hidden.{i}.weight"] + n[f"hidden.{i}.bias"])
    got = PlainNet(w, activation)(torch.tensor(x), None, 0.0).detach().numpy()
    np.testing.assert_allclose(got, h @ n["output.weight"] + n["output.bias"], rtol=1e-12)


def test_evaluation_steps_and_early_stopping():
    """Steps 0, every second, and the end; patience 1 stops at the first evaluation not better."""
    data, w = toy(), start()
    _, series = reference_train(config(train={"eval_every": 4}), data, w, batches())
    assert {tuple(steps) for steps, _ in series.values()} == {(0, 4, 6)}
    wild = config(train={"early_stopping": 1, "eval_every": 1}, optim={"lr": 50.0})
    _, series = reference_train(wild, data, w, batches())
    steps, values = series["nll/val"]
    assert len(steps) < STEPS + 1
    assert values[-1] >= min(values[:-1])
    assert all(b < a for a, b in pairwise(values[:-1]))


def test_zero_steps_change_nothing():
    w = start((WIDTH,))
    got, series = reference_train(config((WIDTH,), train={"steps": 0}), toy(), w, [])
    same(got, {name: t.numpy() for name, t in w.items()}, rtol=0)
    assert series["nll/val"][0].tolist() == [0]


def test_binary_sources_by_hand():
    """Dense points, no embedding, labels -1 and +1: one linear layer under each loss."""
    rng = np.random.default_rng(0)
    splits = {
        name: SimpleNamespace(x_NT=rng.normal(size=(20, 2)), y_N=rng.integers(2, size=20) * 2 - 1)
        for name in ("train", "val", "test")
    }
    data = SimpleNamespace(kind="binary", V=1, **splits)
    w = {"output.weight": torch.tensor(rng.normal(size=(2, 1))), "output.bias": torch.zeros(1)}
    w["output.bias"] = w["output.bias"].double()
    rows = np.arange(B)
    x, y = splits["train"].x_NT[rows], splits["train"].y_N[rows]
    m = y * (x @ w["output.weight"].numpy())[:, 0]
    slopes = {
        "squared_error": 2 * (m - 1) * y,  # 2 (z - y), as y^2 = 1
        "binary_cross_entropy": 4 * -y / (1 + np.exp(m)),
        "max_margin": 2 * np.where(m < 1, -y, 0),
    }
    for name, dz in slopes.items():
        run = run_config({"data": {"name": "points"}, "loss": {"name": name}})
        got = reference_gradients(run, data, w, rows)
        np.testing.assert_allclose(got["output.weight"].numpy()[:, 0], dz @ x / B, rtol=1e-12)
        np.testing.assert_allclose(got["output.bias"].numpy(), [dz.mean()], rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_by_definition(smoothing):
    """Each class loss of the oracle, from its formula in numpy, mean and sum over classes."""
    rng = np.random.default_rng(5)
    z, y = rng.normal(size=(9, V)) * 2, rng.integers(V, size=9)
    p, q, hot = np.exp(z) / np.exp(z).sum(-1, keepdims=True), 1 / (1 + np.exp(-z)), np.eye(V)[y]
    t = (1 - smoothing) * hot + smoothing / V
    margin = np.maximum(0, 1 + z - z[np.arange(9), y][:, None]) * (1 - hot)
    per_class = {
        "mse": (z - t) ** 2,
        "brier": (p - t) ** 2,
        "bce": -t * np.log(q) - (1 - t) * np.log(1 - q),
        "hinge": margin,
    }
    whole = {"cross_entropy": -(t * np.log(p)).sum(-1), "crammer_singer": margin.max(-1)}
    whole["nll"] = whole["cross_entropy"]
    for name in [*per_class, *whole]:
        if smoothing and name in ("hinge", "crammer_singer"):
            continue  # refused by the config
        for reduction in ("mean", "sum"):
            loss = {"name": name, "reduction": reduction, "label_smoothing": smoothing}
            want = whole.get(name)
            if want is None:
                want = getattr(per_class[name], reduction)(-1)
            got = data_loss(config(loss=loss), torch.tensor(z), torch.tensor(y))
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-11, atol=1e-14)
