"""Progress that fills, lines that come now and then, curves that fit in a line."""

import pytest

from harness.cli import progress as module
from harness.cli.progress import progress, sparkline
from harness.records.record import Evaluation


def seen(step, **values):
    """An evaluation of runs by name: their validation NLL."""
    return Evaluation(run_ids=list(values), step=step, values={"nll/val": list(values.values())})


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_now_and_then_with_the_time_left(clock, capsys):
    with progress({"a": 100, "b": 100}, {"a": "mse", "b": "mse"}) as meter:
        meter.step(["a"], 1)
        clock[0] = 11.0
        meter.step(["a"], 2)  # 1 %: the time left is not known yet
        meter.evaluated(seen(50, a=2.5))
        meter.evaluated(seen(60, a=float("nan"), b=float("nan")))
        meter.step(["a"], 60)
        clock[0] = 25.0
        meter.ended(["b"])  # stopped early: counts as whole
        meter.step(["a"], 60)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "harness: 0/2 runs, 1 % of all steps",
        # 160 of 200 steps took 25 s, so the last 40 take 25 * (200/160 - 1) = 6.25 s
        "harness: 1/2 runs, 80 % of all steps, 6 s left, lowest nll/val so far 2.5000",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_on_a_terminal_or_off_it(clock, capsys, monkeypatch, terminal):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: terminal)
    with progress({"a": 100}, {"a": "mse"}, quiet=True) as meter:
        meter.step(["a"], 1)
        clock[0] = 1e4
        meter.evaluated(seen(50, a=2.5))
        meter.step(["a"], 60)
        meter.ended(["a"])
    assert capsys.readouterr() == ("", "")


def test_runs_of_no_steps_fill_the_bar():
    with progress({"a": 0, "b": 0}, {"a": "mse", "b": "mse"}) as meter:
        meter.ended(["a", "b"])
        assert meter.count.done == meter.count.total == 2


def test_a_sparkline_spans_its_own_range():
    assert sparkline([1.0, 2.0, 3.0, 8.0]) == "\N{LOWER ONE EIGHTH BLOCK}▂▃█"
    assert sparkline([5.0, 5.0]) == "▁▁"


def test_the_live_view_ranks_losses_by_their_best():
    view = module._View({"a": 10, "b": 10}, {"a": "mse", "b": "hinge"})
    view.evaluated(seen(0, a=3.0, b=2.5))
    view.evaluated(seen(5, b=2.0))
    table = view.render().renderables[1]
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["hinge", "mse"]
    assert cells[1] == ["█▁", "▁"]
    assert cells[3] == ["2.0000", "3.0000"]
