"""The map of head types: names without an order, doubt to be seen, the first layer below."""

from __future__ import annotations

import numpy as np
import pytest

import residuum as rz
from residuum.heads.head_types import TYPES


@pytest.fixture(scope="module")
def table() -> rz.heads.HeadTable:
    return rz.detect_heads(rz.load("microworld"), n=12)


def test_types_are_categories_and_doubt_is_marked(table: rz.heads.HeadTable) -> None:
    figure = table.figure()
    assert figure.scale == "categorical" and figure.categories == ("none", *TYPES)
    unsure = np.asarray(figure.unsure)
    assert unsure.any() and not unsure.all()
    for row in table.heads:
        at = (table.n_layers - 1 - row.layer, row.head)
        best = row.types[0] if row.types else None
        name = figure.categories[int(figure.matrix[at])]
        assert name == (best.name if best else "none")
        assert unsure[at] == (best is not None and best.status != "confirmed")
        text = figure.cell_text[at[0]][at[1]]
        assert ("?" in text) == unsure[at] and text.endswith("+") == (len(row.types) > 1)


def test_the_caption_says_when_a_negative_cost_confirms(table: rz.heads.HeadTable) -> None:
    """L3H0 looks at the first token, and the model does better without it."""
    row = table["L3H0"]
    assert row.type == "first-token" and row.costs["repeats"] < 0
    assert "first-token" in table.figure().caption and "either way" in table.figure().caption
    assert any(len(row.types) > 1 for row in table) and "more types" in table.figure().caption


def test_layers_go_upwards_in_every_map(table: rz.heads.HeadTable) -> None:
    maps = [table.figure(), *table.figure("scores").figures, *table.figure("costs").figures]
    assert all(each.row_labels == ("L3", "L2", "L1", "L0") for each in maps)
    induction = table.scores["induction"]
    drawn = next(each for each in maps if each.title == "induction")
    np.testing.assert_allclose(drawn.matrix, induction.values[::-1], atol=1e-6)
    np.testing.assert_allclose(
        table.figure("costs").figures[0].matrix, table.costs["repeats"].values[::-1], atol=1e-6
    )
