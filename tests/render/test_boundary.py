"""Drawn boundaries: the zero line lies where the output changes sign."""

import numpy as np
import pytest

from harness import plot_boundary
from harness.analysis.boundaries import boundary
from harness.errors import ConfigError
from tests.support.planes import by_hand, net_record


def zero_line(axes):
    """Vertices (N, 2) of the one contour that is drawn."""
    (contour,) = [c for c in axes.collections if not getattr(c, "filled", True)]
    assert contour.levels.tolist() == [0.0]
    return np.concatenate([path.vertices for path in contour.get_paths()])


def test_zero_line_of_a_linear_net_is_its_line():
    record = net_record(hidden=(), seed=3)
    line = zero_line(plot_boundary(record).axes[0])
    w = record.weights["output.weight"].numpy()[:, 0]
    b = float(record.weights["output.bias"][0])
    assert len(line) > 50
    np.testing.assert_allclose(line @ w, -b, atol=1e-12)  # w x + b = 0, exact for a plane


def test_zero_line_of_a_deep_net_runs_between_the_signs():
    record = net_record(hidden=(6, 5), seed=9)
    line = zero_line(plot_boundary(record).axes[0])
    one = boundary(record)
    assert len(line) > 50
    # every vertex lies on an edge of the grid, whose two ends have opposite signs
    place = (line - [one.x_X[0], one.y_Y[0]]) / [one.x_X[1] - one.x_X[0], one.y_Y[1] - one.y_Y[0]]
    ends = np.floor(place + 1e-6).astype(int), np.ceil(place - 1e-6).astype(int)
    signs = [
        np.sign(by_hand(record, np.stack([one.x_X[end[:, 0]], one.y_Y[end[:, 1]]], axis=1)))
        for end in ends
    ]
    np.testing.assert_array_equal(signs[0] * signs[1], -np.ones(len(line)))


def test_one_panel_a_run_each_with_all_points():
    figure = plot_boundary([net_record(seed=s) for s in range(4)], titles=list("abcd"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == list("abcd")
    for axes in figure.axes:
        assert sum(len(line.get_xdata()) for line in axes.lines) == 48 + 6
    with pytest.raises(ConfigError, match="1 runs and 2 titles"):
        plot_boundary(net_record(), titles=["a", "b"])
