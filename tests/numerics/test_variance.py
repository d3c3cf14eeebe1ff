"""Shares of the spread over seeds, on constructed additive data and against least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.numerics.variance import variance_explained

RNG = np.random.default_rng(5)


def table(value, levels=(3, 4), configs=1, repeats=1):
    """Runs of every combination of init and batch seeds; value(config, i, b, rep)."""
    rows = [
        {"config_id": f"c{c}", "seed": 0, "init.seed": i, "train.batch_seed": b,
         "data.split_seed": 42, "m": value(c, i, b)}
        for c, i, b, _ in itertools.product(range(configs), *map(range, levels), range(repeats))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_additive_effects_are_divided_exactly():
    """Init effects -1, 0, 1 over 4 batch seeds: 8; batch effects -1.5 ... 1.5 over 3: 15."""
    got = variance_explained(table(lambda c, i, b: (i - 1) + (b - 1.5) + 7), "m")
    by = {one.source: one for one in got.shares}
    assert by["init.seed"].share == pytest.approx(8 / 23)
    assert by["train.batch_seed"].share == pytest.approx(15 / 23)
    assert (by["init.seed"].df, by["train.batch_seed"].df) == (2, 3)
    assert got.shares[-1].share == pytest.approx(0, abs=1e-12)


def test_against_least_squares_and_the_f_distribution():
    frame = table(lambda c, i, b: RNG.normal() + 0.5 * i, levels=(3, 4), repeats=2)
    got = variance_explained(frame, "m")
    y = frame["m"].to_numpy()

    def rss(*keys):
        parts = [pd.get_dummies(frame[k]).to_numpy(float) for k in keys]
        x = np.column_stack([np.ones(len(y)), *parts])
        return float(((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())

    full, total = rss("init.seed", "train.batch_seed"), rss()
    square = rss("train.batch_seed") - full
    one = got.shares[0]
    assert one.share == pytest.approx(square / total)
    df_rest = 24 - 1 - 2 - 3
    assert one.f == pytest.approx(square / 2 / (full / df_rest))
    assert one.p == pytest.approx(stats.f.sf(one.f, 2, df_rest))
    assert one.unbiased == pytest.approx((square - 2 * full / df_rest) / (total + full / df_rest))


def test_configurations_are_compared_within_themselves_only():
    """A configuration's own level, however far off, is no spread over seeds."""
    got = variance_explained(table(lambda c, i, b: 100 * c + i, configs=3), "m")
    assert got.configurations == 3
    assert got.shares[0].share == pytest.approx(1) and got.shares[0].df == 6


def test_unbalanced_configurations_are_left_out():
    frame = table(lambda c, i, b: float(i), configs=2).iloc[:-1]
    got = variance_explained(frame, "m")
    assert (got.configurations, got.left_out) == (1, 1)


def test_seeds_swept_together_cannot_be_told_apart():
    frame = pd.DataFrame({"config_id": "c", "seed": [0, 1, 2], "m": [1.0, 2, 3]})
    assert variance_explained(frame, "m") is None
    frame["init.seed"] = frame["train.batch_seed"] = [5, 6, 7]
    assert variance_explained(frame, "m") is None


def test_a_null_seed_is_the_common_one():
    """seed 0-2 (batches) crossed with init.seed 0-1: two sources, though one column is null."""
    rows = [
        {"config_id": "c", "seed": s, "init.seed": i, "train.batch_seed": None, "m": float(s)}
        for s in range(3)
        for i in range(2)
    ]
    by = {one.source: one.share for one in variance_explained(pd.DataFrame(rows), "m").shares}
    assert by["train.batch_seed"] == pytest.approx(1) and by["init.seed"] == pytest.approx(0)
