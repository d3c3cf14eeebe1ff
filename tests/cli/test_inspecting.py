"""`harness list`, `show`, `diff` and `compare` on a ledger of made-up records."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.cli import main as cli
from harness.cli.inspecting import differences
from harness.records.ledger import Ledger
from harness.records.manifests import new_sweep
from tests.support.made import made_record


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Four finished runs of a sweep and one that failed, in ./runs of an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    ledger = Ledger("runs")
    made = [made_record(s, scale=g) for g in (0.1, 1.0) for s in range(2)]
    failed = made_record(7)
    for record in made:
        ledger.write(record)
    everything = {r.run_id: r.config for r in [*made, failed]}
    ledger.write_sweep(new_sweep(everything, tracking={"experiment": "lab"}))
    ledger.write_failure(failed.run_id, "Traceback ...\nMemoryError: no room")
    return [*made, failed]


def told(capsys, *words, code=0):
    assert cli.run(list(words)) == code
    return capsys.readouterr()


def test_list_says_what_there_is(runs, capsys):
    out = told(capsys, "list").out
    assert "4 of 5" in out and " weight_scale," in out and "lab" in out
    [one] = json.loads(told(capsys, "list", "--json").out)
    assert (one["runs"], one["finished"], one["where"]) == (5, 4, "ledger")


def test_show_holds_settings_and_numbers(runs, capsys):
    out = told(capsys, "show", runs[0].run_id[:9]).out
    assert runs[0].config_id in out and "start: as expected" in out
    line = next(line for line in out.splitlines() if line.startswith("init.weight_scale"))
    assert line.split() == ["init.weight_scale", "0.1", "*"]  # marked: not at its default
    assert max(map(len, out.splitlines())) <= 80
    plain = json.loads(told(capsys, "show", runs[0].run_id, "--json").out)
    assert plain["metrics"] == pytest.approx(runs[0].summary)
    assert plain["config"] == json.loads(json.dumps(runs[0].config.flat()))


def test_show_draws_a_run_to_a_file(runs, capsys, tmp_path):
    done = told(capsys, "show", runs[0].run_id, "--plot", "run.svg", "--insides")
    assert "drawn to run.svg" in done.err and runs[0].config_id in done.out
    # made up, of other data than these settings name: curves alone can be drawn
    assert "data of run" in done.err and "have changed" in done.err
    drawn = (tmp_path / "run.svg").read_text()
    assert drawn.startswith("<?xml") and drawn.count('id="axes_') >= 2
    for words, part in (
        (("newest", "--plot", "run.bmp"), "ending in .svg, .png or .pdf"),
        ((runs[0].run_id, "--insides"), "name it with --plot FILE"),
        ((Ledger("runs").sweeps()[0].sweep_id, "--plot", "a.png"), "is a sweep; allowed: a run's"),
    ):
        assert part in told(capsys, "show", *words, code=2).err
    assert not (tmp_path / "a.png").exists()


def test_diff_names_what_differs_and_nothing_else(runs, capsys):
    out = json.loads(told(capsys, "diff", runs[0].run_id, runs[1].run_id, "--json").out)
    assert out["config"] == {"seed": [0, 1]}
    assert out["metrics"]["nll/val"] == [2.0, 2.01, pytest.approx(0.01)]
    assert "gap/nll" not in out["metrics"]  # 0 in both
    assert not out["same_curves"]
    text = told(capsys, "diff", runs[0].run_id, runs[2].run_id).out
    assert "init.weight_scale" in text
    # made-up numbers follow from the seed alone, so that these two agree in all of them
    assert "same to the last bit" in text


def test_a_run_differs_from_itself_in_nothing(runs):
    found = differences(runs[0], runs[0])
    assert found["config"] == found["metrics"] == {} and found["same_curves"]


def test_compare_prints_json_and_nothing_else_on_stdout(runs, capsys):
    done = told(capsys, "compare", "--json")
    rows = json.loads(done.out)
    assert [row["n"] for row in rows] == [2, 2]
    assert {"config", "n", "metrics"} == set(rows[0])
    assert rows[0]["metrics"]["nll/val"]["mean"] == pytest.approx(2.005)
    assert "1 run failed" in done.err


def test_compare_as_csv_and_as_a_table(runs, capsys):
    words = ("compare", "--by", "weight_scale", "--metric", "nll/val,gap/nll")
    [first, _] = csv.DictReader(io.StringIO(told(capsys, *words, "--csv").out))
    assert first["init.weight_scale"] == "0.1" and float(first["nll/val.mean"]) == 2.005
    out = told(capsys, *words).out
    assert "2.0050 ±0.0635" in out  # 12.706 (t, 1 df) * .00707107 / sqrt 2
    assert max(map(len, out.splitlines())) <= 80


def test_compare_sorts_filters_and_pairs(runs, capsys):
    out = told(capsys, "compare", "--where", "weight_scale<1", "--json").out
    assert len(json.loads(out)) == 1
    words = ("compare", "--baseline", "weight_scale=1", "--sort", "-weight_scale", "--json")
    rows = json.loads(told(capsys, *words).out)
    assert [row["config"]["init.weight_scale"] for row in rows] == [1.0, 0.1]
    assert rows[1]["metrics"]["difference/nll/val"]["mean"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "zzz"], "there is no sweep 'zzz'"),
        (["compare", "--by", "weight_scal"], "Did you mean 'init.weight_scale'"),
        (["compare", "--metric", "nll/vall"], "Did you mean 'nll/val'"),
        (["compare", "--where", "weight_scale=5"], "there are: 0.1, 1"),
        (["compare", "--json", "--csv"], "allowed: one of them"),
        (["compare", "--uri", "sqlite:///absent.db"], "no MLflow store"),
        (["show", "zzz"], "zzz"),
        (["diff", "zzz", "yyy"], "zzz"),
    ],
)
def test_bad_requests_end_with_2_and_one_line(runs, capsys, tmp_path, words, said):
    before = sorted(tmp_path.rglob("*"))
    done = told(capsys, *words, code=2)
    assert done.out == "" and said in done.err and "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_failed_says_why(runs, capsys):
    assert "MemoryError: no room" in told(capsys, "show", runs[-1].run_id[:8], code=2).err


def test_nothing_there_is_said_with_the_way_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for words in (["list"], ["compare"]):
        assert "harness sweep" in told(capsys, *words, code=2).err
    assert list(tmp_path.iterdir()) == []
