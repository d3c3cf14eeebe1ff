"""Squentropy by hand, and its best constant against a general optimizer."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from harness.components import LOSSES
from harness.numerics.logit_law import LogitLaw

SPEC = LOSSES.get("squentropy")


def test_value_and_gradient_by_hand():
    """z = (1, 0, 2), target 0: -log softmax is ln(1 + e^-1 + e), the wrong squares 0 and 4."""
    z, y = torch.tensor([[[1.0, 0.0, 2.0]]], dtype=torch.float64), torch.tensor([[0]])
    want = math.log(1 + math.exp(-1) + math.e) + (0 + 4) / 2
    assert SPEC.value(z, y).item() == pytest.approx(want, rel=1e-14)
    e = [math.e, 1.0, math.e**2]
    p = [part / sum(e) for part in e]
    slope = SPEC.gradient(z, y, out=torch.empty_like(z)).flatten().tolist()
    assert slope == pytest.approx([p[0] - 1, p[1] + 0, p[2] + 2], rel=1e-13)


@pytest.mark.parametrize("std", [0.0, 0.5, 4.0])
def test_expected_is_cross_entropy_and_the_variance(std):
    law = LogitLaw.iid(std, 27)
    want = LOSSES.get("cross_entropy").expected(law) + std**2
    assert SPEC.expected(law) == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize("rare", [0.3, 1e-6])
def test_best_constant_against_a_general_optimizer(rare):
    rng = np.random.default_rng(0)
    p = np.append(rng.dirichlet(np.ones(8)) * (1 - rare), rare)
    found = minimize(lambda z: SPEC.expected(LogitLaw(0.0, tuple(z)), p), np.zeros(9), tol=1e-12)
    best = SPEC.best_constant(p, smoothing=0.0, summed=False).loss
    assert best == pytest.approx(found.fun, abs=1e-8)


def test_spread_with_unequal_means():
    """Against 200,000 pairs of logits with fixed means, one target and two: within 5 errors."""
    from harness.numerics.logit_pairs import Meeting

    rng, n, rho, s, V = np.random.default_rng(2), 200_000, 0.5, 1.2, 5
    m = np.array([1.0, -0.5, 0.0, 2.0, -1.0])
    for first, second in ((3, 3), (0, 3)):
        joint = np.zeros((1, V, V))
        joint[0, first, second] = 1.0
        x = rng.normal(size=(n, V))
        other = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, V))
        a, b = (
            SPEC.value(torch.from_numpy(m + s * draw)[None], torch.full((1, n), target))[0].numpy()
            for draw, target in ((x, first), (other, second))
        )
        product = (a - a.mean()) * (b - b.mean())
        got = SPEC.spread(
            LogitLaw(s, tuple(m)), np.array([rho]), Meeting(joint, np.zeros(1, int)), 0.0
        )[0]
        # the log-sum-exp series of unequal means is good to some per cent
        assert abs(got - product.mean()) < 5 * product.std() / math.sqrt(n) + 0.03 * abs(got)
