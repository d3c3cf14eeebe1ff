"""Short versions of the campaigns; by command (python -m tests.campaigns.kill) they are long."""

import pytest

from tests.campaigns import kill, writers

pytestmark = pytest.mark.slow


def test_ten_kills_lose_and_double_nothing(tmp_path):
    tally = kill.campaign(10, tmp_path, runs=64, seed=5, say=lambda *_, **__: None)
    assert tally.kills >= 10 and tally.clean, tally


def test_four_writers_of_one_fresh_store_leave_exact_counts(tmp_path):
    assert writers.campaign(4, 10, tmp_path) == []
