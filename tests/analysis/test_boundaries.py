"""Boundaries: the network's own output over the plane, told where it cannot be had."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from harness.analysis.boundaries import boundary
from harness.config.groups import Data, Init, Loss
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.errors import ConfigError, HarnessError
from tests.support.planes import MOONS, by_hand, net_record


def test_grid_holds_the_output_at_its_points():
    record = net_record()
    one = boundary(record, cells=7)
    for row in range(7):
        points = np.stack([one.x_X, np.full(7, one.y_Y[row])], axis=1)
        np.testing.assert_allclose(one.output_YX[row], by_hand(record, points), rtol=1e-12)


def test_points_are_those_of_training_and_validation_and_inside_the_grid():
    one, data = boundary(net_record(), cells=3), load_data(MOONS)
    assert {name: len(points) for name, points in one.points.items()} == {"train": 48, "val": 6}
    np.testing.assert_array_equal(one.labels["val"], data.val.y)
    for points in one.points.values():
        assert one.x_X[0] < points[:, 0].min() and points[:, 0].max() < one.x_X[-1]
        assert one.y_Y[0] < points[:, 1].min() and points[:, 1].max() < one.y_Y[-1]


def test_start_needs_no_weights_and_is_the_draw_of_the_settings():
    record = net_record(hidden=(), weights={})
    config = dataclasses.replace(record.config, init=Init(weight_scale=3.0, bias="zero"))
    one = boundary(dataclasses.replace(record, config=config), when="start", cells=2)
    twice = dataclasses.replace(config, init=Init(weight_scale=6.0, bias="zero"))
    double = boundary(dataclasses.replace(record, config=twice), when="start", cells=2)
    np.testing.assert_allclose(double.output_YX, 2 * one.output_YX, rtol=1e-6)  # linear in scale
    assert np.abs(one.output_YX).min() > 0


def test_what_cannot_be_drawn_is_told():
    with pytest.raises(HarnessError, match=r"weights of run .* are not kept"):
        boundary(net_record(weights={}))
    bad = net_record()
    bad.weights["output.bias"][0] = torch.nan
    with pytest.raises(HarnessError, match="diverged: its weights are not finite"):
        boundary(bad)
    census = net_record(config=RunConfig(), provenance={})
    with pytest.raises(ConfigError, match="data=census, whose inputs are contexts"):
        boundary(census)
    four = RunConfig(data=Data(name="four_points", split=(1, 0, 0)), loss=Loss(name="max_margin"))
    with pytest.raises(ConfigError, match="inputs are 3 numbers"):
        boundary(net_record(config=four, provenance={}))
    with pytest.raises(HarnessError, match=r"data of run .* have changed"):
        boundary(net_record(provenance={"data_sha256": "0" * 64}))
    for wrong, words in (({"cells": 1}, "cells is 1"), ({"when": "now"}, "start, end")):
        with pytest.raises(ConfigError, match=re.escape(words)):
            boundary(net_record(), **wrong)
