"""What a person reads: progress that fills, tables that fold seeds, missing numbers as dashes."""

import pytest

from harness import console


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_now_and_then_with_the_time_left(clock, capsys):
    with console.progress({"a": 100, "b": 100}) as meter:
        meter.step("a", 1)
        clock[0] = 11.0
        meter.step("a", 2)  # 1 %: the time left is not known yet
        meter.step("a", 60)
        clock[0] = 25.0
        meter.ended("b")  # stopped early: counts as whole
        meter.step("a", 60)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "harness: 0/2 runs, 1 % of all steps",
        # 160 of 200 steps took 25 s, so the last 40 take 25 * (200/160 - 1) = 6.25 s
        "harness: 1/2 runs, 80 % of all steps, 6 s left",
    ]


def test_runs_of_no_steps_fill_the_bar():
    with console.progress({"a": 0, "b": 0}) as meter:
        meter.ended("a")
        meter.ended("b")
        assert meter.count.done == meter.count.total == 2


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds, words):
    assert console.duration(seconds) == words


def row(config_id, seed, value, verdict="fit", **more):
    out = {"run_id": f"r{config_id}{seed}", "config_id": config_id, "verdict": verdict}
    out |= {"seed": seed, "loss.name": f"loss{config_id}", **more}
    return out | ({} if value is None else {"best/nll_val": value})


def test_the_leaderboard_folds_seeds_and_shows_missing_as_a_dash(capsys):
    rows = [
        row("a", 0, 2.0), row("a", 1, 2.2, "overfit"), row("b", 0, 1.5, **{"nll/train": 1.25}),
        row("c", 0, None, "diverged"),
    ]  # fmt: skip
    console.leaderboard(rows, ["loss.name", "seed"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[1] == ["1", "lossb", "1.5000", "1.2500", "-", "-", "-", "fit"]
    # the standard deviation of 2.0 and 2.2 with n - 1 is sqrt(.02) = .1414
    assert lines[2][:4] == ["2", "lossa", "2.1000", "+-0.1414"]
    assert lines[2][-4:] == ["1", "fit,", "1", "overfit"]
    assert lines[3] == ["3", "lossc", "-", "-", "-", "-", "-", "diverged"]


def test_a_long_leaderboard_is_cut_and_says_so(capsys):
    console.leaderboard([row(str(i), 0, float(i)) for i in range(30)], ["loss.name"])
    out = capsys.readouterr().out
    assert "and 20 more" in out and "loss9" in out and "loss10" not in out


def test_failures_name_run_settings_and_reason(capsys):
    console.failures({"abc": "Traceback\n  deep\nValueError: boom"}, {"abc": "loss=mse seed=1"})
    out = capsys.readouterr()
    assert out.out == ""
    assert all(word in out.err for word in ("abc", "loss=mse seed=1", "ValueError: boom"))
    assert "deep" not in out.err
