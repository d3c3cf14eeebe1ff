"""What a notebook sees: figures, HTML and frames of runs, comparisons, data and settings."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from harness import compare, load_data, plot, records_frame
from harness.config.groups import Data, Loss
from harness.config.run import RunConfig
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from tests.support.made import made_config, made_record
from tests.support.synthetic_sweep import synthetic_table


def labels(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_a_record_draws_its_own_curves():
    record = made_record(seed=2)
    figure = plot(record)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 5]
    for name in ("nll/val", "nll/train"):
        assert any(np.array_equal(one, record.series[name][1]) for one in drawn), name
    assert {"validation", "training"} <= labels(figure)
    assert axes.get_ylabel() == "nll (nats/char)"
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_runs_are_told_apart_by_what_differs():
    records = [made_record(seed, scale=scale) for seed in (0, 1) for scale in (0.5, 2.0)]
    assert {"weight_scale=0.5, seed=0", "weight_scale=2, seed=1"} <= labels(plot(records))
    many = plot([made_record(seed) for seed in range(40)])
    assert len([one for one in labels(many) if one.startswith("seed=")]) == 12


def test_any_series_can_be_drawn_and_an_unknown_one_is_refused():
    figure = plot(made_record(), metric="act/saturated/hidden.0")
    assert figure.axes[0].get_ylabel().startswith("act/saturated/hidden.0")
    with pytest.raises(ConfigError, match=r"metric is 'nll/vol'; the series of these runs: .*nll"):
        plot(made_record(), metric="nll/vol")


def test_starts_show_what_is_expected_and_what_was_measured():
    table = synthetic_table({"init.weight_scale": (0.1, 1.0, 3.0)})
    figure = plot(table)
    (axes,) = figure.axes
    assert len(axes.lines[-1].get_xdata()) == 3  # a dot a run
    assert "init.weight_scale" in axes.get_xlabel()
    (before,) = plot(RunConfig(loss=Loss(name="brier"), data=Data(fraction=0.02))).axes
    assert before.get_title(loc="left") == "brier"


def test_a_comparison_draws_its_rows_in_order():
    records = [made_record(seed, scale=scale) for seed in (0, 1, 2) for scale in (0.5, 2.0)]
    found = compare(records)
    (axes,) = found.plot().axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["weight_scale=0.5",
                                                                    "weight_scale=2"]  # fmt: skip
    dots = axes.lines[-1].get_xdata()
    want = [row["metrics"][found.headline]["mean"] for row in found.rows]
    assert np.array_equal(dots, want)


@pytest.mark.parametrize("given", [3, [], [3], "run", None])
def test_what_cannot_be_drawn_is_refused(given):
    with pytest.raises(ConfigError, match="allowed: a RunRecord, a list of them, a comparison"):
        plot(given)


def test_reprs_are_short():
    data = load_data(Data(fraction=0.02))
    records = [made_record(seed) for seed in range(4)]
    for one in (*records, data, data.train, compare(records), Ledger("runs"), synthetic_table(),
                RunConfig().loss.spec, RunConfig(), made_config()):  # fmt: skip
        assert len(repr(one)) < 200, repr(one)
    assert "27 symbols" in repr(data) and "train" in repr(data)
    assert records[3].run_id in repr(records[3]) and "seed=3" in repr(records[3])


def test_html_holds_the_numbers_and_runs_nothing():
    record = made_record(seed=1, verdict="overfit")
    html = record._repr_html_()
    assert record.run_id in html and "overfit" in html and "2.01" in html
    assert "<td" in compare([record])._repr_html_()
    assert "1,130" in load_data(Data(fraction=0.02))._repr_html_()  # distinct contexts of val
    path = RunConfig(data=Data(name="file", path="<script>alert(1)</script>"))
    assert "<script" not in path._repr_html_()


def test_curves_are_a_frame_over_the_step():
    record = made_record()
    frame = record.curves()
    assert frame.index.name == "step" and list(frame.index) == [0, 10, 20, 30, 40]
    assert np.array_equal(frame["nll/val"], record.series["nll/val"][1])
    series = {**record.series, "rare": (np.array([20]), np.array([1.5]))}
    rare = made_record(series=series).curves()["rare"]
    assert rare[20] == 1.5 and rare.isna().sum() == 4


def test_records_are_a_frame_with_what_differs_first():
    records = [made_record(seed, scale=scale) for seed in (0, 1) for scale in (0.5, 2.0)]
    frame = records_frame(records)
    assert list(frame.index) == [one.run_id for one in records]
    assert list(frame.columns[:3]) == ["verdict", "init.weight_scale", "seed"]
    assert list(frame["nll/val"]) == [one.summary["nll/val"] for one in records]
    assert not frame.columns.duplicated().any()
    assert not [name for name in frame if re.match(r"mlflow|error", name)]
