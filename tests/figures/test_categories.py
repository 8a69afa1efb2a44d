"""Maps of names: colours that stay apart, hatched cells, the key, what is refused."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import HeatMap, Panel, figure_from_json, page, terminal_heatmap
from residuum.figures.markup import float32_base64
from residuum.figures.palette import CATEGORIES, TINT, category_colours, ink_on, rgb

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SEEN_BY = {
    "everybody": np.eye(3),
    "protanopes": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopes": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopes": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip


def linear(colour):
    parts = np.asarray(colour) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(colour, seen):
    xyz = TO_XYZ @ np.clip(seen @ linear(colour), 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest(colours, seen):
    places = [lab(colour, seen) for colour in colours]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2))


@pytest.mark.parametrize("reader", SEEN_BY)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_categories_stay_apart_for_all_readers(theme, reader):
    colours = [rgb(colour) for colour in CATEGORIES[theme]]
    assert nearest(colours, SEEN_BY[reader]) > 15
    assert nearest([rgb("#d55e00"), rgb("#5f9e00")], SEEN_BY["protanopes"]) < 30  # red and green


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_unsure_cells_differ_from_none_and_from_sure_ones(theme):
    index = np.arange(len(CATEGORIES[theme]))
    sure = category_colours(index, None, theme)
    unsure = category_colours(index, np.ones(len(index), bool), theme)
    for name in index[1:]:
        seen = SEEN_BY["everybody"]
        assert np.linalg.norm(lab(unsure[name], seen) - lab(sure[0], seen)) > 6
        assert np.linalg.norm(lab(unsure[name], seen) - lab(sure[name], seen)) > 15
    assert 0 < TINT < 0.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_on_categories_has_contrast(theme):
    index = np.arange(len(CATEGORIES[theme]))
    for unsure in (None, np.ones(len(index), bool)):
        for colour in category_colours(index, unsure, theme):
            inks = [linear(each) @ TO_XYZ[1] for each in (colour, rgb(ink_on(colour)))]
            assert (max(inks) + 0.05) / (min(inks) + 0.05) >= 4.0


def types(**changes):
    fields = {
        "values": [[0, 1, 2], [1, np.nan, 0]],
        "row_labels": ["L1", "L0"],
        "scale": "categorical",
        "categories": ("none", "induction", "previous-token", "first-token"),
        "unsure": [[False, True, False], [False, False, False]],
        "unsure_name": "not confirmed",
    }
    return HeatMap(**{**fields, **changes})


def test_what_is_told_to_readers_without_a_picture():
    assert types().describe() == (
        "Map of categories, 2 rows by 3 columns: none 2, induction 2, previous-token 1; "
        "1 not confirmed."
    )
    assert "not confirmed" not in types(unsure=None).describe()


def test_json_round_trip():
    figure = types(unsure=np.array([[0, 1, 0], [0, 1, 0]], bool))
    again = figure_from_json(figure.to_json())
    assert again == figure and again.categories == figure.categories
    assert not figure.to_json()["unsure"][1][1]  # nothing is unsure where nothing is possible


def test_paper_shows_the_colours_and_hatches():
    def colours(figure):
        with Image.open(io.BytesIO(figure.png(dpi=100))) as image:
            return dict((colour, n) for n, colour in image.convert("RGB").getcolors(1 << 24))

    sure, unsure = colours(types(unsure=None)), colours(types())
    full = rgb(CATEGORIES["light"][1])
    tint = tuple(category_colours(np.array([1]), np.array([True]))[0].tolist())
    assert {full, rgb(CATEGORIES["light"][2])} <= set(sure) and tint not in sure
    assert tint in unsure and unsure[full] < sure[full]
    assert rgb(CATEGORIES["light"][3]) not in sure  # the key lists what occurs


def test_key_is_in_the_svg_without_what_does_not_occur():
    text = types().svg()
    for name in ("none", "induction", "previous-token", "not confirmed"):
        assert f"<!-- {name} -->" in text
    assert "<!-- first-token -->" not in text
    assert "not confirmed" not in types(unsure=None).svg()


def test_terminal_writes_names_not_numbers():
    lines = terminal_heatmap(types(), 80, False).split("\n")
    assert lines[1].split() == ["L1", "none", "induction?", "previous-token"]
    assert lines[2].split() == ["L0", "induction", "none"]
    assert lines[3].startswith("Map of categories") and "logits" not in lines[3]


def test_thumbnails_of_categories_have_no_colour_bar():
    html = Panel([types(), types()]).fragment()
    assert "rz-legend" not in html and float32_base64(types().matrix) in html


ERRORS = [
    (lambda: types(categories=None), OptionError, "got 0 categories", "pass 1 to 9 names"),
    (lambda: types(categories=["x"] * 10), OptionError, "got 10 categories", "1 to 9"),
    (lambda: types(limits=(0, 3)), OptionError, "got limits", "no limits"),
    (lambda: types(values=[[0, 4]], row_labels=None), ShapeError, "indices of 4", "0 to 3, or NaN"),
    (lambda: types(values=[[0.5]], row_labels=None), ShapeError, "indices of 4", "whole numbers"),
    (lambda: types(unsure=[[True]]), ShapeError, "shape (1, 1) for values of (2, 3)", "each cell"),
    (
        lambda: types(scale="sequential"), OptionError,
        "categories goes with scale='categorical'", "leave categories out",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "what", "mend"), ERRORS)
def test_error_texts(make, error, what, mend):
    with pytest.raises(error) as caught:
        make()
    assert what in caught.value.what and mend in caught.value.mend


def test_pages_carry_the_names():
    html = page("p", [types()])
    assert '"categories":["none","induction","previous-token","first-token"]' in html
    assert '"unsureName":"not confirmed"' in html
