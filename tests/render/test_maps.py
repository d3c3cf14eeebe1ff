"""The map of trainability: a sweep over two numbers with many values each, as one picture."""

import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest

from harness.analysis.effects import Swept
from harness.numerics.digits import number
from harness.render.figures.maps import colours_of, map_figure, two_axes
from harness.render.report import build
from tests.support.synthetic_sweep import synthetic_table

SCALES, RATES = np.geomspace(0.05, 20, 20).tolist(), np.geomspace(0.003, 300, 16).tolist()
# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB; rows: what red, green, blue become
SIGHT = {
    "all cones": np.eye(3),
    "no red": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "no green": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "no blue": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip


def diverge(row):
    if row["optim.lr"] > 30:
        row["verdict"] = "diverged"
        for name in ("nll/val", "nll/train", "best/nll_val", "nll_calibrated/val", "gap/nll"):
            row[name] = float("nan")


@pytest.fixture(scope="module")
def swept():
    table = synthetic_table({"init.weight_scale": SCALES, "optim.lr": RATES}, change=diverge)
    return Swept(table)


def picture(svg):
    """(Y, X, C) of the first image in a drawing, as the page shows it: the top row first."""
    found = re.search(r"data:image/png;base64,([^\"]+)", svg)
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(found[1])))


def test_a_cell_a_run_and_divergence_in_its_own_colour(swept):
    figure = map_figure(swept)
    image = picture(figure.panels[0].svg)
    assert image.shape == (len(RATES), len(SCALES), 4)
    vermilion = np.array([0xD4, 0x5D, 0x00]) / 255
    lost = np.abs(image[:, :, :3] - vermilion).max(axis=2) < 0.01
    above = [rate > 30 for rate in RATES]
    assert np.array_equal(lost.any(axis=1), above[::-1] if lost[0].any() else above)
    assert np.array_equal(lost.all(axis=1), lost.any(axis=1))
    count = sum(above) * len(SCALES)
    assert f"{count} runs diverged" in figure.caption


def test_marks_are_spread_over_the_map_and_tell_their_runs(swept):
    """At most 19 x 19 cells and the lowest one, each with the loss that its own run logged."""
    (panel,) = map_figure(swept).panels
    assert panel.what == "nll/val"
    runs = swept.runs.set_index("run_id")
    assert len(panel.marks) in (19 * len(RATES), 19 * len(RATES) + 1)
    places = set()
    for mark in panel.marks:
        (run_id,) = mark.runs
        row = runs.loc[run_id]
        lost = row["verdict"] == "diverged"
        assert mark.value == ("diverged" if lost else number(row["nll/val"], 4))
        places.add((row["init.weight_scale"], mark.x))
        assert (mark.where != "") == (row["nll/val"] == runs["nll/val"].min())
    ordered = sorted(places)
    assert [x for _, x in ordered] == sorted(x for _, x in ordered)  # larger scales to the right
    assert len(ordered) == len({x for _, x in ordered}) in (19, 20)


def test_large_rates_lie_on_top(swept):
    svg = map_figure(swept).panels[0].svg
    image = picture(svg)
    flipped = re.search(r"<image[^>]*scale\(1 -1\)", svg) is not None
    top = image[-1 if flipped else 0]
    assert np.allclose(top[:, 0], 0xD4 / 255, atol=0.01)


def test_lowest_loss_is_brightest():
    mean = np.array([[2.0, 3.0], [np.nan, 2.5]])
    lost = np.array([[0.0, 0.0], [1.0, 0.0]])
    found = colours_of(mean, lost, (2.0, 3.0))
    light = found[..., :3] @ [0.2126, 0.7152, 0.0722]
    assert light[0, 0] > light[1, 1] > light[0, 1]
    assert np.allclose(found[1, 0, :3], np.array([0xD4, 0x5D, 0]) / 255)
    assert np.all(colours_of(mean[1:, :1], np.array([[np.nan]]), (2.0, 3.0)) == 0)  # no run there


@pytest.mark.parametrize("sight", SIGHT)
def test_every_eye_tells_divergence_from_any_loss(sight):
    """10 units of CIELAB apart at least: a just noticeable difference is about 2.3."""
    losses = np.linspace(2, 3, 256)[None, :]
    losses_C = colours_of(losses, np.zeros_like(losses), (2.0, 3.0))[0, :, :3]
    lost_C = colours_of(np.array([[np.nan]]), np.ones((1, 1)), (2.0, 3.0))[0, :, :3]
    distance = np.linalg.norm(lab(losses_C, sight) - lab(lost_C, sight), axis=1)
    assert distance.min() > 10


def lab(rgb, sight):
    """CIELAB (D65) of sRGB colours as an eye with these cones sees them."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ SIGHT[sight].T, 0, 1)
    xyz = linear @ np.array([
        [0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505],
    ])  # fmt: skip
    share = xyz / [0.95047, 1.0, 1.08883]
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def test_a_random_search_fills_no_map():
    rng = np.random.default_rng(0)
    runs = [
        {"init.weight_scale": float(a), "optim.lr": float(b)}
        for a, b in rng.uniform(0.01, 1, (200, 2))
    ]
    swept = Swept(synthetic_table(runs=runs))
    assert two_axes(swept) is None
    assert map_figure(swept) is None


def test_page_with_a_map_is_light():
    """4,096 runs: a map of 64 x 64 is one image, and the page has no node for each run."""
    axes = {
        "init.weight_scale": np.geomspace(0.05, 20, 64).tolist(),
        "optim.lr": np.geomspace(0.003, 300, 64).tolist(),
    }
    page = build(synthetic_table(axes, change=diverge, curves=False))
    assert 'id="map"' in page
    assert page.count("<") < 8_000
    assert len(page) < 1_000_000
