"""Lines: names of level lines stand beside the plot; upright lines have an interval and a name."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure as Canvas

from residuum.core import ResiduumError
from residuum.figures import Guide, Lines, Moment, Series


def drawn(**more):
    lines = Lines([1, 10, 100], [Series("a", [0.0, 0.1, 1.0])], x_scale="log", **more)
    canvas = Canvas(figsize=(6.5, 3.1), layout="constrained")
    area = canvas.subfigures(1, 1)
    lines.paint(area)
    canvas.draw_without_rendering()
    return lines, area.axes[0]


def test_the_name_of_a_level_line_is_beside_the_plot():
    _, axes = drawn(guides=[Guide(0.05, "attention to all alike")])
    (name,) = [text for text in axes.texts if "alike" in text.get_text()]
    assert name.get_window_extent().x0 > axes.get_window_extent().x1


def test_moments_are_drawn_with_their_interval():
    lines, axes = drawn(moments=[Moment(20, 15, 30, "midpoint 20")])
    assert any(list(line.get_xdata()) == [20, 20] for line in axes.lines)
    (name,) = [text for text in axes.texts if text.get_text() == "midpoint 20"]
    assert name.get_window_extent().y0 >= axes.get_window_extent().y1
    assert any(patch.get_x() == 15 and patch.get_width() == 15 for patch in axes.patches)
    assert lines.to_json()["moments"] == [{"x": 20, "lo": 15, "hi": 30, "label": "midpoint 20"}]
    assert "midpoint 20" in lines.fragment()


def test_what_is_no_moment_is_refused():
    with pytest.raises(ResiduumError):
        Lines([1], [Series("a", [1.0])], moments=[{"when": 3}])
