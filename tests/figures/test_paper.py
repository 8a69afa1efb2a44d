import io
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from residuum.figures import HeatMap, Panel
from residuum.figures.palette import NAN_COLOUR, STOPS, colours, fractions, ink_on, rgb
from residuum.figures.paper import every


def luminance(colour):
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_png_has_the_stated_size(figure, tmp_path):
    path = figure.save(tmp_path / "figure.png")
    with Image.open(path) as image:
        width, height = figure.paper_inches()
        assert np.abs(np.array(image.size) - np.array([width, height]) * 200).max() < 1
        assert len(image.convert("RGB").getcolors(1 << 24)) > 8


def test_svg_is_xml_and_the_same_each_time(figure, tmp_path):
    root = ElementTree.fromstring(figure.save(tmp_path / "figure.svg").read_text(encoding="utf-8"))
    assert root.tag.endswith("svg")
    assert "alert(1)</script>" not in figure.svg()


def test_heatmap_pixels_have_the_palette_colours():
    figure = HeatMap([[1.0, -1.0], [0.0, float("nan")]])
    with Image.open(io.BytesIO(figure.png(dpi=100))) as image:
        seen = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    stops = STOPS["diverging"]["light"]
    assert {rgb(stops[0]), rgb(stops[-1]), rgb(stops[4]), rgb(NAN_COLOUR["light"])} <= seen


def test_drawing_leaves_global_style_alone(figure):
    before = dict(mpl.rcParams)
    figure.svg()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_sequential_lightness_is_monotonic(theme):
    ramp = colours(np.linspace(0, 1, 64), "sequential", 0.0, 1.0, theme)
    steps = np.diff([luminance(colour) for colour in ramp])
    assert (steps < 0).all() if theme == "light" else (steps > 0).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_diverging_is_centred_and_monotonic_on_both_sides(theme):
    ramp = colours(np.linspace(-1, 1, 65), "diverging", -1.0, 1.0, theme)
    light = np.array([luminance(colour) for colour in ramp])
    sign = 1 if theme == "light" else -1
    assert (np.diff(light[:33]) * sign > 0).all()
    assert (np.diff(light[32:]) * sign < 0).all()
    assert tuple(ramp[32]) == rgb(STOPS["diverging"][theme][4])


def test_zero_is_the_middle_also_of_lopsided_limits():
    assert fractions(np.array([-1.0, 0.0, 4.0, 9.0]), "diverging", -1.0, 4.0).tolist() == [
        0,
        0.5,
        1,
        1,
    ]


@pytest.mark.parametrize("scale", ["diverging", "sequential"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_on_cells_has_contrast(scale, theme):
    for colour in colours(np.linspace(-1, 1, 41), scale, -1.0, 1.0, theme):
        pair = sorted([luminance(colour), luminance(rgb(ink_on(colour)))])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.0


@given(st.integers(1, 300), st.integers(1, 60))
def test_labels_are_evenly_spaced_with_both_ends(count, room):
    shown = every(count, room)
    steps = np.diff(shown)
    assert shown[0] == 0 and 1 <= len(shown) <= max(room, 1)
    if room > 1:
        assert shown[-1] == count - 1
    if len(shown) > 2:
        assert len(set(steps[:-1])) == 1 and steps[-1] >= steps[0]
        assert steps[0] == -(-(count - 1) // (room - 1))  # no more is dropped than has to be


def test_both_ends_of_a_long_axis_are_labelled():
    names = [f"layer {i}" for i in range(100)]
    text = HeatMap(np.eye(100), names, names).svg()
    assert all(text.count(f"<!-- layer {i} -->") == 2 for i in (0, 99))
    assert "<!-- layer 1 -->" not in text


def test_a_panel_of_many_heads_fits_a_page():
    heads = [HeatMap(np.eye(4), title=f"L{i // 12}H{i % 12}") for i in range(24)]
    width, height = Panel(heads, columns=12).paper_inches()
    assert width <= 11 and height <= 4
