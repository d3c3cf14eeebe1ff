"""What a person reads: tables that fold seeds, missing numbers as dashes, bad starts counted."""

import pytest

from harness.render import console


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


def test_bad_starts_are_counted_once_a_run(capsys):
    told = [
        ("confident and wrong: 8.0 x the uniform loss; scale the output layer",),
        ("confident and wrong: 2.0 x the uniform loss", "diverged at step 10"),
        ("as expected: 3.296",),
        ("not what the config says (z = 9): ...",),
    ]
    console.starts(told)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 of 4 runs began 'confident and wrong'")
    assert lines[1].startswith("1 of 4 runs began 'not what the config says'")
    console.starts([("as expected: 3.296",)])
    assert capsys.readouterr().out == ""
