"""Binary sources in the plane."""

import math

import numpy as np
import pytest

from harness.components.sources.moons import moons as moon_points
from harness.components.sources.points import blobs as blob_points
from harness.config.groups import Data
from harness.data.dataset import load_data


def blobs(seed, n):
    found = blob_points(seed, n)
    return found.x_NI, found.y_N


def moons(seed, n):
    found = moon_points(seed, n)
    return found.x_NI, found.y_N


@pytest.mark.parametrize("draw", [blobs, moons])
def test_drawn_by_name(draw):
    """Types, shapes, balance; one seed gives one set and another seed another."""
    x_NI, y_N = draw(0, 1001)
    assert x_NI.shape == (1001, 2) and x_NI.dtype == np.float32
    assert y_N.dtype == np.int64 and sorted(set(y_N.tolist())) == [-1, 1]
    assert abs(y_N.sum()) == 1
    assert np.array_equal(x_NI, draw(0, 1001)[0]) and not np.array_equal(x_NI, draw(1, 1001)[0])


def test_blobs_reach_their_bayes_error():
    """The best line errs on Phi(-sqrt 2 / .7) = 2.17 % of 20,000 points, within 4 SE."""
    x_NI, y_N = blobs(0, 20_000)
    wrong = float((np.sign(x_NI.sum(axis=1)) != y_N).mean())
    want = 0.5 * math.erfc(math.sqrt(2) / 0.7 / math.sqrt(2))
    assert abs(wrong - want) < 4 * math.sqrt(want * (1 - want) / 20_000)


def test_moons_need_a_curve():
    """The least-squares line errs on one point in ten; the nearest other point seldom does."""
    x_NI, y_N = moons(0, 600)
    features = np.column_stack([x_NI, np.ones(600)])
    line = np.linalg.lstsq(features, y_N, rcond=None)[0]
    assert (np.sign(features @ line) != y_N).mean() > 0.08
    distance_NN = ((x_NI[:, None] - x_NI[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance_NN, np.inf)
    assert (y_N[distance_NN.argmin(axis=1)] != y_N).mean() < 0.03
    assert np.abs(x_NI.mean(axis=0)).max() < 0.1


@pytest.mark.parametrize("name", ["points", "moons"])
def test_split_by_point(name):
    """Every point lands in one split; contexts and pairs are the points themselves."""
    data = load_data(Data(name=name, words=200, fraction=0.5))
    assert (data.train.n, data.val.n, data.test.n) == (80, 20, 20)
    assert data.kind == "binary" and data.symbols == () and data.V == 1 and data.oracle is None
    rows = {tuple(row) for s in (data.train, data.val, data.test) for row in s.x.tolist()}
    assert len(rows) == 120
    for split in (data.train, data.val, data.test):
        assert split.contexts_CT is split.x_NT and split.x.dtype == np.float32
        assert np.array_equal(split.pair_target_P, split.y) and (split.pair_count_P == 1).all()
        assert np.array_equal(split.pair_context_P, np.arange(split.n))
    assert data.unigram.sum() == pytest.approx(1)
    assert data.unigram[1] == pytest.approx((data.train.y == 1).mean())
