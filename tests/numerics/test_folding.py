"""Means, intervals and effect sizes against scipy.stats and hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.numerics.folding import Estimate, estimate, fold, mean_by_unit, pairs

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("n", [2, 3, 10, 200])
def test_interval_is_scipys(n):
    x = RNG.normal(2.3, 0.01, size=n)
    got = estimate(x)
    low, high = stats.t.interval(0.95, n - 1, loc=x.mean(), scale=stats.sem(x))
    assert got.interval == pytest.approx([low, high], rel=1e-12)
    assert got.sd == pytest.approx(np.std(x, ddof=1), rel=1e-12)


def test_three_numbers_by_hand():
    """1, 2, 3: mean 2, sd 1, half width 4.302653 / sqrt 3 (t table, 2 degrees of freedom)."""
    got = estimate([1, 2, 3])
    assert (got.n, got.mean, got.sd) == (3, 2, 1)
    assert got.half == pytest.approx(4.302653 / 3**0.5, abs=1e-6)
    assert got.entry() == {"mean": 2, "sd": 1, "ci95": [2 - got.half, 2 + got.half]}


def test_one_value_has_no_spread_and_none_has_nothing():
    assert estimate([2.5]) == Estimate(1, 2.5, None, None)
    assert estimate([2.5]).entry() == {"mean": 2.5, "sd": None, "ci95": None}
    assert estimate([]) == Estimate(0, None, None, None) == estimate([np.nan])


def test_groups_do_not_mix_and_missing_values_are_left_out():
    values = np.array([[1.0, 10], [5, np.nan], [3, 30], [7, np.nan], [2, 20]])
    got = fold(values, np.array([0, 1, 0, 1, 0]), 2)
    assert got.n.tolist() == [[3, 3], [2, 0]]
    assert got.mean[0].tolist() == [2, 20] and got.mean[1, 0] == 6
    assert got.sd[0].tolist() == [1, 10]
    assert got.at(1, 0).sd == pytest.approx(2**0.5)  # 5 and 7


def test_a_large_offset_costs_no_digits():
    x = np.array([1e8 + 1, 1e8 + 2, 1e8 + 3])
    assert fold(x[:, None], np.zeros(3, dtype=int), 1).sd[0, 0] == 1


def test_paired_difference_is_scipys_paired_test():
    a, b = RNG.normal(size=(2, 8))
    got = estimate(a - b)
    want = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert got.interval == pytest.approx([want.low, want.high], rel=1e-10)
    assert got.effect_size == pytest.approx(stats.ttest_rel(a, b).statistic / 8**0.5, rel=1e-10)


def test_equal_differences_have_no_effect_size():
    assert estimate([0.0, 0.0, 0.0]).effect_size is None
    assert estimate([0.1]).effect_size is None


def test_pairs_share_their_key_and_what_has_no_twin_is_left_out():
    keys = ["a", "b", "a", "c", "b"]
    assert pairs([0, 1], [2, 3, 4], keys) == [(0, 2), (1, 4)]


def test_a_units_pairs_count_once():
    """Two pairs of seed 0 (1 and 3, their second metric known once) and one of seed 1."""
    got = mean_by_unit(np.array([[1.0, np.nan], [5.0, 6.0], [3.0, 8.0]]), [0, 1, 0])
    assert got.tolist() == [[2.0, 8.0], [5.0, 6.0]]
