"""Pictures of a run's insides: what is drawn is what was logged and counted."""

import dataclasses
import re

import numpy as np
import pytest

from harness import plot_insides, train
from harness.analysis.boundaries import boundary
from harness.analysis.effects import Swept
from harness.analysis.insides import insides
from harness.analysis.table import table_of
from harness.config.groups import Data, Init, Loss, Model, Reg, Train
from harness.config.run import RunConfig
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.records.durable import LedgerError
from harness.render import report
from harness.render.figures import style
from harness.render.figures.chosen import boundaries_figure, insides_figures
from harness.render.figures.insides import embedding_picture
from harness.render.figures.marks import Drawing
from harness.render.figures.run import drawn, inside_pictures, run_pictures
from tests.support.planes import MOONS

ALL = [
    "Pre-activations", "Activations", "Saturated units", "Gradient spread", "Update to weight",
    "Embedding",
]  # fmt: skip


@pytest.fixture(scope="module")
def words():
    """A good and a bad start on words, trained for a few steps."""
    return train(
        [
            RunConfig(
                data=Data(name="markov", words=200), model=Model(hidden=(16, 8), n_embd=4),
                init=Init(weight_scale=scale), train=Train(steps=20),
            )
            for scale in (1.0, 5.0)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def points():
    """Three widths on moons, trained for a few steps."""
    return train(
        [
            RunConfig(
                data=MOONS, model=Model(hidden=hidden, activation="relu"), reg=Reg(),
                loss=Loss(name="max_margin"), train=Train(steps=20), seed=0,
            )
            for hidden in ((), (4,), (16,))
        ]
    )  # fmt: skip


def part(figure, title):
    """The picture of that title."""
    (found,) = [p for p in figure.subfigs if p.get_suptitle() == title]
    return found


def plot_run(record, *, insides=False):
    """What `harness show --plot` draws."""
    return drawn([*run_pictures(record)[0], *(inside_pictures(record)[0] if insides else ())])


def titles(figure):
    return [title for p in figure.subfigs if (title := p.get_suptitle())]


def test_update_ratios_are_the_logged_series_and_the_line_is_there(words):
    (axes,) = part(plot_insides(words[0]), "Update to weight").axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 2]
    names = [n for n in words[0].series if n.startswith("grad/update_ratio/")]
    assert len(drawn) == len(names) == 4  # embedding, two hidden layers, output
    for line, name in zip(drawn, names, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), words[0].series[name][0])
        np.testing.assert_array_equal(line.get_ydata(), words[0].series[name][1])
    assert [-3.0, -3.0] in [list(line.get_ydata()) for line in axes.lines]


def test_gradient_spreads_are_the_logged_series(words):
    (axes,) = part(plot_insides(words[0]), "Gradient spread").axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 2]
    want = [curve for n, curve in words[0].series.items() if n.startswith("grad/std/")]
    for line, (steps, values) in zip(drawn, want, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), steps)
        np.testing.assert_array_equal(line.get_ydata(), values)


def test_maps_are_coloured_where_units_are_saturated(words):
    start, end = part(plot_insides(words[1]), "Saturated units").axes
    for axes, when in ((start, "start"), (end, "end")):
        layers = insides(words[1], when=when)[:-1]
        for image, layer in zip(axes.images, layers, strict=True):
            np.testing.assert_array_equal(image.get_array()[..., 3] > 0, layer.saturated_EO)
        told = ", ".join(f"{100 * layer.saturated:.0f} %" for layer in layers)
        assert axes.get_title(loc="left") == f"{when}: {told}"
    assert words[1].summary["init/saturated/hidden.0"] > 0.3  # a start five times too large


def test_histograms_are_drawn_with_the_area_of_one(words):
    start, end = part(plot_insides(words[0]), "Pre-activations").axes
    for axes in (start, end):
        assert len(axes.patches) == 3
        for steps in axes.patches:
            values, edges, _ = steps.get_data()
            assert values @ np.diff(edges) == pytest.approx(1)


def test_every_picture_of_a_run_on_words(words):
    assert titles(plot_insides(words[0])) == ALL
    assert titles(plot_run(words[0])) == ["nll over training"]  # cross-entropy: loss is nll
    (axes,) = part(plot_insides(words[0]), "Embedding").axes
    assert [text.get_text() for text in axes.texts] == list(words[0].symbols)


def test_any_symbols_can_be_drawn():
    """No formula is made of a dollar, no warning of what the font lacks (warnings are errors)."""
    symbols = ["中", "$", "\n", " ", "a", "$x$"]
    table = np.random.default_rng(0).normal(size=(len(symbols), 5))
    with style.draw():
        figure = Drawing(figsize=(style.WIDTH, style.HEIGHT))
        embedding_picture(table, symbols).draw(figure)
        svg = style.panel(figure, title="", alt="", prefix="e-").svg
    for label in (">中<", ">$<", ">↵<", ">␣<", ">a<", ">$x$<"):
        assert label in svg


def test_many_layers_are_thinned_alike_in_every_picture():
    (record,) = train(
        [RunConfig(data=Data(name="markov", words=100), model=Model(hidden=(4,) * 9, n_embd=2),
                   train=Train(steps=3))]
    )  # fmt: skip
    figure = plot_insides(record)
    kept = ["hidden.0", "hidden.3", "hidden.5", "hidden.8"]
    for title, more in (("Pre-activations", ["output"]), ("Activations", [])):
        legend = part(figure, title).axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == kept + more
    ticks = part(figure, "Saturated units").axes[-1].get_xticklabels()
    assert [text.get_text() for text in ticks] == ["0", "3", "5", "8"]
    labels = {text.get_text() for text in part(figure, "Update to weight").axes[0].texts}
    assert labels == {"embedding", *kept, "output", "-3"}


def test_a_run_on_points_has_its_boundary(points):
    first = ["loss over training", "nll over training", "Decision boundary"]
    assert titles(plot_run(points[1])) == first
    assert titles(plot_run(points[1], insides=True)) == [*first, *ALL[:-1]]
    assert titles(plot_insides(points[0])) == [ALL[0], *ALL[3:-1]]  # no hidden layer
    bare = dataclasses.replace(points[1], weights={})
    assert titles(plot_run(bare)) == first[:2]
    assert "Saturated units" in titles(plot_insides(bare))  # its start
    with pytest.raises(HarnessError, match="nothing to draw"):
        plot_run(dataclasses.replace(bare, series={}))


def test_report_looks_inside_the_best_run_and_the_worst_start(words):
    best, worst = insides_figures(Swept(table_of(words)))
    assert (best.name, worst.name) == ("insides", "insides-start")
    assert [panel.title for panel in best.panels] == ALL
    assert [panel.title for panel in worst.panels] == ALL[:3]
    assert words[0].run_id[:8] in best.caption and words[1].run_id[:8] in worst.caption
    share = words[1].summary["init/saturated/hidden.0"]
    assert f"start: hidden.0 {100 * share:.0f} %" in worst.panels[2].alt
    assert boundaries_figure(Swept(table_of(words))) is None  # no points


def test_pictures_of_a_run_tell_layer_step_and_value(words):
    best, worst = insides_figures(Swept(table_of(words)))
    for figure, record in ((best, words[0]), (worst, words[1])):
        assert {mark.runs for panel in figure.panels for mark in panel.marks} == {(record.run_id,)}
        assert all(0 < len(panel.marks) <= 400 for panel in figure.panels)
    marks = {panel.title: panel.marks for panel in best.panels}
    for title, kind in (("Gradient spread", "grad/std"), ("Update to weight", "grad/update_ratio")):
        told = {mark.where: mark.value for mark in marks[title]}
        for name, (steps, values) in words[0].series.items():
            if name.startswith(kind):
                layer = name.rpartition("/")[2]
                assert told[f"{layer}, step {steps[-1]:,}"] == number(float(values[-1]), 3)
    assert {mark.value for mark in marks["Embedding"]} == set(words[0].symbols)
    (first, *_) = insides(words[1], when="start")
    counts = {
        int(re.search(r"unit (\d+)", mark.where)[1]): mark.value
        for mark in worst.panels[2].marks if mark.where.startswith(first.name)
    }  # fmt: skip
    want = [f"{count} of {len(first.saturated_EO)} examples" for count in first.saturated_EO.sum(0)]
    assert counts == dict(enumerate(want))


def test_points_of_a_boundary_tell_label_and_output(points):
    figure = boundaries_figure(Swept(table_of(points[2:])))
    (panel,) = figure.panels
    one = boundary(points[2])
    want = {
        (f"{name}, label {label:+d}", number(float(output), 3))
        for split, name in (("train", "training"), ("val", "validation"))
        for label, output in zip(one.labels[split], one.outputs[split], strict=True)
    }
    told = {(mark.where, mark.value) for mark in panel.marks}
    assert told <= want and len(told) > 10
    share = np.mean((one.outputs["val"] > 0) == (one.labels["val"] > 0))
    assert share == pytest.approx(points[2].summary["accuracy/val"])  # the output of that point


def test_report_draws_boundaries_of_each_width(points):
    text = report.build(table_of(points))
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    figure = text[text.index('id="boundaries"') :].partition("</figure>")[0]
    for label in ("[]", "[4]", "[16]"):
        assert f"<h4>hidden={label}: " in figure
    assert 'id="insides"' in text


def test_report_says_where_weights_were_not_kept(points):
    bare = [dataclasses.replace(record, weights={}) for record in points]
    figure = boundaries_figure(Swept(table_of(bare)))
    assert list(figure.panels) == []
    assert "are not kept (ledger.weights, tracking.weights)" in figure.note
    assert "(2 more alike)" in figure.note


def test_a_best_run_among_equals_is_drawn_once(points):
    alone = boundaries_figure(Swept(table_of(points[1:2])))
    assert len(alone.panels) == 1 and "The best run, with" in alone.caption


def test_runs_that_cannot_be_read_leave_the_page_without_their_insides(words):
    def unreadable(_):
        raise LedgerError("written by harness 9")

    table = table_of(words)
    table.load_records = unreadable
    assert insides_figures(Swept(table)) == []


def test_data_that_are_gone_are_told_without_their_folder(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("".join(f"{i},{i % 3},{(-1) ** i}\n" for i in range(40)))
    config = RunConfig(
        data=Data(name="points", path=str(path)), model=Model(hidden=(3,)),
        loss=Loss(name="max_margin"), train=Train(steps=2),
    )  # fmt: skip
    table = table_of(train([config]))
    assert len(boundaries_figure(Swept(table)).panels) == 1
    path.unlink()
    figure = boundaries_figure(Swept(table))
    assert list(figure.panels) == [] and "points.csv" in figure.note
    assert str(tmp_path) not in figure.note
