"""Layered graphs: where boxes stand, what is drawn, what is refused, the slider in a browser."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import Box, LayeredGraph, Link, Measured
from residuum.figures.layered_paper import half_widths, places
from residuum.figures.palette import NEGATIVE, POSITIVE

_spec = importlib.util.spec_from_file_location(
    "browser_hands", Path(__file__).with_name("test_browser.py")
)
assert _spec is not None and _spec.loader is not None
browser = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(browser)

BOXES = [
    Box("embed", "embed", 0),
    *(Box(f"L0.head_out[H{h}]", f"H{h}", 1) for h in range(3)),
    Box("L0.mlp_out", "MLP0", 2, 1),
    Box("logits", "logits", 3),
]
LINKS = [Link(1, 5, 2.0), Link(0, 1, 1.5, -0.9, "q"), Link(4, 5, -1.0), Link(0, 4, 0.25)]
ROWS = ["", "L0", "", ""]


def graph(**changes):
    return LayeredGraph(**({"parts": BOXES, "links": LINKS, "rows": ROWS} | changes))


def test_boxes_of_a_row_stand_apart_and_lanes_side_by_side():
    across = places(BOXES)
    halves = half_widths(BOXES, across)
    heads = across[1:4]
    assert np.allclose(np.diff(heads), np.diff(heads)[0]) and heads.mean() == pytest.approx(
        across[0]
    )
    assert (heads[:-1] + halves[1:3] < heads[1:] - halves[2:4]).all()
    assert across[4] > heads.max() and across[4] + halves[4] <= 1
    crowd = [Box(str(i), "H10", 0) for i in range(64)]
    step = np.diff(places(crowd)).min()
    assert 2 * half_widths(crowd, places(crowd)).max() < step


def test_paper_draws_the_first_links_in_the_colours_of_their_signs():
    blue, orange = POSITIVE["light"], NEGATIVE["light"]

    def strokes(figure, colour):
        return len(re.findall(rf"stroke: {colour}", figure.svg()))

    assert (strokes(graph(), blue), strokes(graph(), orange)) == (3, 1)
    assert (strokes(graph(shown=2), blue), strokes(graph(shown=2), orange)) == (2, 0)
    bare = graph(links=[Link(0, 5)])
    assert strokes(bare, blue) == strokes(bare, orange) == 0


def test_a_measure_makes_the_paper_wider():
    measured = Measured("faithfulness", [10, 20], [0.5, 0.9])
    assert graph(measured=measured).paper_inches()[0] > graph().paper_inches()[0]


@pytest.mark.parametrize(
    ("make", "error", "what", "mend"),
    [
        (lambda: graph(links=[]), ShapeError, "nothing to draw", "parts and a link"),
        (lambda: graph(rows=["a"]), ShapeError, "is in row 1 of 1", "give each a label"),
        (lambda: graph(links=[Link(0, 9)]), ShapeError, "from 0 to 9 of 6", "from 0"),
        (lambda: graph(links=[Link(0, 1, np.nan)]), ShapeError, "not finite", "None"),
        (lambda: graph(shown=5), OptionError, "shown is 5 of 4 links", "1 to 4"),
        (lambda: Measured("a", [2, 1], [0, 0]), ShapeError, "must ascend", "sort them"),
        (lambda: Measured("a", [1], [0, 0]), ShapeError, "another number", "for each size"),
        (lambda: Measured("a", [1], [0], [0]), OptionError, "one end", "both lo and hi"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, error, what, mend):
    with pytest.raises(error) as caught:
        make()
    assert what in caught.value.what and mend in caught.value.mend


@browser.pytestmark
def test_the_slider_leaves_the_first_links_and_says_what_was_measured(tmp_path):
    measured = Measured("faithfulness", [2, 4], [0.5, 0.9], [0.4, 0.8], [0.6, 1.0])
    figure = graph(total=40, unit="logits", measured=measured)
    script = """
      const slider = document.querySelector(".rz-prune input");
      const said = () => document.querySelector(".rz-prune-said").textContent;
      const stage = document.querySelector(".rz-graph-main .rz-stage");
      const told = () => { key(stage, "Home"); return tipText(); };
      found.range = [slider.min, slider.max, slider.value];
      found.before = [said(), told()];
      for (const at of [2, 1]) {
        slider.value = at;
        slider.dispatchEvent(new Event("input"));
        await new Promise((done) => setTimeout(done, 100));
        found[at] = [said(), told()];
      }
      found.curves = document.querySelectorAll(".rz-graph-beside .rz-stage").length;
    """
    path = figure.save(tmp_path / "figure.html")
    found = browser.observe(path.read_text(encoding="utf-8"), script, tmp_path)
    assert found["range"] == ["1", "4", "4"]
    assert found["before"][0] == "4 of 40 edges (10 %); faithfulness 0.9 [0.8, 1]"
    assert found["before"][1] == ["embed", "to L0.head_out[H0] (q) 1.5", "to L0.mlp_out 0.25"]
    assert found["2"][0] == "2 of 40 edges (5 %); faithfulness 0.5 [0.4, 0.6]"
    assert found["2"][1] == ["embed", "to L0.head_out[H0] (q) 1.5"]
    assert found["1"][0] == "1 of 40 edges (2.5 %); faithfulness not measured at this size"
    assert found["1"][1] == ["L0.head_out[H0]", "to logits 2"]
    assert found["curves"] == 1
