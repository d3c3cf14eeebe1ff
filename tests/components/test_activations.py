"""Every activation: its forms agree with each other, with torch's module and with autograd."""

import dataclasses

import numpy as np
import pytest
import torch

from harness.components.activations import ACTIVATIONS, ActivationSpec
from harness.errors import ConfigError

X = torch.linspace(-6, 6, 97, dtype=torch.float64).reshape(1, -1, 1)


def passed(spec, x):
    """(preactivations as the engine keeps them, phi), each of x's shape."""
    pre = x * spec.scale
    out = torch.empty_like(pre) if spec.keeps_pre else pre
    spec.apply(pre, out)
    return pre, out


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_forms_are_one_function(name):
    spec = ACTIVATIONS.get(name)
    want = spec.function(X)
    assert torch.allclose(passed(spec, X)[1], want, rtol=0, atol=1e-15)
    assert np.allclose(spec.values(X.numpy()), want, rtol=0, atol=1e-15)
    assert torch.allclose(spec.build()(X), want, rtol=0, atol=1e-15)
    assert isinstance(spec.module, str)  # so that MLflow can serve it


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_is_autograd(name):
    spec = ACTIVATIONS.get(name)
    x = X.clone().requires_grad_()
    spec.function(x).sum().backward()
    pre, h = passed(spec, X)
    d = torch.full_like(X, 2.0)
    spec.differentiate(d, pre, h)
    assert torch.allclose(d, 2 * x.grad, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_saturated_units_pass_almost_nothing(name):
    spec = ACTIVATIONS.get(name)
    pre, h = passed(spec, X)
    mask = spec.flags(h, pre)
    if mask is None:
        return
    assert mask.any() and not mask.all()
    assert np.array_equal(mask, spec.saturated(h.numpy(), X.numpy()))
    d = torch.ones_like(X)
    spec.differentiate(d, pre, h)
    assert d[mask].abs().max() < 0.06


def test_one_function_is_enough():
    """Without more, the engine's form is autograd, and theory's goes through torch."""
    spec = ActivationSpec(function=lambda x: x * torch.sigmoid(x))
    pre, h = passed(spec, X)
    assert torch.equal(h, spec.function(X)) and torch.equal(pre, X)
    d = torch.ones_like(X)
    with torch.no_grad():
        spec.differentiate(d, pre, h)
    s = torch.sigmoid(X)
    assert torch.allclose(d, s + X * s * (1 - s), rtol=0, atol=1e-15)
    assert np.array_equal(spec.values(X.numpy()), spec.function(X).numpy())
    assert torch.equal(spec.build()(X), spec.function(X))
    assert spec.flags(h, pre) is None
    scaled = dataclasses.replace(spec, scale=2.0)
    assert torch.equal(passed(scaled, X)[1], h)


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match=r"'tanhh'.*Did you mean 'tanh'"):
        ACTIVATIONS.get("tanhh")
