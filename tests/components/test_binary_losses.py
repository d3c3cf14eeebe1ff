"""Losses on one logit and a label of -1 or +1: against torch.nn.functional, autograd, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from harness.components.losses import LOSSES

NAMES = ["squared_error", "binary_cross_entropy", "max_margin"]  # those that `by_torch` knows


def value(name, z, y):
    return LOSSES.get(name).value(z, y, None, False)


def gradient(name, z, y, out=None):
    out = torch.full_like(z, math.nan) if out is None else out
    assert LOSSES.get(name).gradient(z, y, None, False, out=out) is out
    return out


def batch(dtype=torch.float64, spread=2.0):
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, 41, 1, generator=rng, dtype=torch.float64).mul_(spread).to(dtype)
    return z, torch.randint(2, (3, 41), generator=rng) * 2 - 1


def by_torch(name, z, y):
    y = y.to(z.dtype)
    if name == "squared_error":
        return F.mse_loss(z, y, reduction="none")
    if name == "binary_cross_entropy":
        return F.binary_cross_entropy_with_logits(z, (y + 1) / 2, reduction="none")
    return F.margin_ranking_loss(z, torch.zeros_like(z), y, margin=1.0, reduction="none")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label_dtype", [torch.int64, torch.float32])
def test_value_and_gradient_equal_torch(name, label_dtype):
    z, y = batch()
    leaf = z.clone().requires_grad_()
    want = by_torch(name, leaf[..., 0], y)
    (want_slope,) = torch.autograd.grad(want.sum(), leaf)
    y = y.to(label_dtype)
    assert_close(value(name, z, y), want.detach(), rtol=1e-13, atol=1e-15)
    assert_close(gradient(name, z, y), want_slope, rtol=1e-12, atol=1e-15)
    (own_slope,) = torch.autograd.grad(value(name, leaf, y).sum(), leaf)
    assert_close(own_slope, want_slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("squared_error", 1.0),  # (0 - y)^2
        ("binary_cross_entropy", 0.6931471805599453),  # ln 2
        ("max_margin", 1.0),  # the whole margin
    ],
)
def test_zero_logit(name, want):
    """No opinion: the value by hand; the gradient, matched, is squared error's -2y for all."""
    z, y = torch.zeros(1, 2, 1, dtype=torch.float64), torch.tensor([[-1, 1]])
    assert_close(value(name, z, y), torch.full((1, 2), want, dtype=torch.float64))
    matched = gradient(name, z, y) * LOSSES.get(name).multiplier(1, False)
    assert_close(matched[..., 0], -2.0 * y.to(torch.float64))


def test_at_the_margin_the_gradient_is_zero():
    """y z = 1 exactly counts as outside, as for the hinge over classes."""
    z, y = torch.tensor([[[1.0], [-1.0], [0.5]]]), torch.tensor([[1, -1, 1]])
    assert gradient("max_margin", z, y).flatten().tolist() == [0.0, 0.0, -1.0]


@pytest.mark.parametrize("name", NAMES)
def test_extremes(name):
    """Logits of +-1e4 give finite float32 numbers, those torch gives in float64."""
    z = torch.tensor([[[1e4], [-1e4], [1e4], [-1e4], [0.0]]])
    y = torch.tensor([[1, 1, -1, -1, 1]])
    leaf = z.double().requires_grad_()
    want = by_torch(name, leaf[..., 0], y)
    (want_slope,) = torch.autograd.grad(want.sum(), leaf)
    assert_close(value(name, z, y).double(), want.detach(), rtol=1e-6, atol=1e-7)
    assert_close(gradient(name, z, y).double(), want_slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_do_not_know_their_place(name, dtype):
    """Bit for bit, a run or a row alone is what it is inside any stack, padded or not."""
    z, y = batch(dtype)
    room = torch.zeros(3, 41, 8, dtype=dtype)
    room[..., :1] = z
    for logits in (z, room[..., :1]):
        whole, slope = value(name, logits, y), gradient(name, logits, y)
        for k in range(3):
            run = slice(k, k + 1)
            assert torch.equal(value(name, logits[run], y[run]), whole[run])
            assert torch.equal(gradient(name, logits[run], y[run]), slope[run])
        for b in range(41):
            row = (slice(None), slice(b, b + 1))
            assert torch.equal(value(name, logits[row], y[row]), whole[row])
            assert torch.equal(gradient(name, logits[row], y[row]), slope[row])
