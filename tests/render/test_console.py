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
    out |= {"seed": seed, "loss.name": "cross_entropy", "init.scheme": f"s{config_id}", **more}
    return out | ({} if value is None else {"best/nll_val": value})


def test_the_leaderboard_folds_seeds_and_shows_missing_as_a_dash(capsys):
    rows = [
        row("a", 0, 2.0), row("a", 1, 2.2, "overfit"), row("b", 0, 1.5, **{"nll/train": 1.25}),
        row("c", 0, None, "diverged"),
    ]  # fmt: skip
    console.leaderboard(rows, ["init.scheme", "seed"])
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[1] == ["1", "sb", "1.5000", "1.2500", "fit"]
    # half of Student's interval of 2.0 and 2.2: 12.7062 x sqrt(.02) / sqrt 2
    assert lines[2][:4] == ["2", "sa", "2.1000", "±1.2706"]
    assert lines[2][-4:] == ["1", "fit,", "1", "overfit"]
    assert lines[3] == ["3", "sc", "-", "-", "diverged"]
    assert "Best first, of 3, by best/nll_val; mean over seeds ± half the 95 % interval" in out


def test_equal_configurations_share_a_line(capsys):
    rows = [row("a", s, 2.0 + s, **{"loss.name": "cross_entropy"}) for s in range(2)]
    rows += [row("b", s, 2.0 + s, **{"loss.name": "nll"}) for s in range(2)]
    console.leaderboard(rows, ["loss.name", "seed"])
    out = capsys.readouterr().out
    assert "cross_entropy = nll" in out and "the last digit" in out and "Best first, of 2" in out


def test_binary_data_have_nats_an_example(capsys):
    console.leaderboard([row("a", 0, 0.3, **{"data.name": "moons"})], ["seed"])
    out = capsys.readouterr().out
    assert "nats/example" in out and "nats/char" not in out


def test_a_long_leaderboard_is_cut_and_says_so(capsys):
    console.leaderboard([row(str(i), 0, float(i)) for i in range(30)], ["init.scheme"])
    out = capsys.readouterr().out
    assert "And 20 more" in out and "s9" in out and "s10" not in out


def test_failures_name_run_settings_and_reason(capsys):
    console.failures({"abc": "Traceback\n  deep\nValueError: boom"}, {"abc": "loss=mse seed=1"})
    out = capsys.readouterr()
    assert out.out == ""
    assert all(word in out.err for word in ("abc", "loss=mse seed=1", "ValueError: boom"))
    assert "deep" not in out.err


def test_bad_starts_are_counted_once_a_run(capsys):
    kinds = ["confident and wrong", "confident and wrong", "as expected", "a dead start", None]
    console.starts(kinds)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 5 runs began 'a dead start'")
    assert lines[1].startswith("2 of 5 runs began 'confident and wrong'")
    console.starts(["as expected", "no expectation", None])
    assert capsys.readouterr().out == ""
