"""Every result of the room shows its figure at the end of a notebook's cell."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum import heads
from residuum.models.native import NativeConfig, NativeForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build


@pytest.fixture(scope="module")
def results() -> list[Any]:
    torch.manual_seed(0)
    model = rz.load("microworld", check=False)
    one, two = (
        rz.load(NativeForCausalLM(NativeConfig(n_layers=n, n_heads=2, d_model=8, d_vocab=9)))
        for n in (1, 2)
    )
    return [
        heads.detect_heads(model, n=4, removal=None),
        heads.ov(model, 1, 2),
        heads.composition(model, draws=20),
        heads.virtual_weights(model, "L0.z[H3]", "L1.k[H1]"),
        heads.neuron(model, 1, 7),
        heads.bigram_table(model, ["Mary went to the store ."] * 20),
        heads.path_expansion(two, torch.arange(5)[None]),
        heads.skip_trigrams(one, 3, checks=4),
    ]


def test_each_shows_its_figure(results: list[Any]) -> None:
    for result in results:
        figure = result.figure()
        assert result._repr_html_() == figure._repr_html_(), type(result).__name__
        assert figure.title.split()[0] in result._repr_html_()


def test_none_of_the_room_is_left_out(results: list[Any]) -> None:
    """Whatever the room exports that has a figure is among those above."""
    made = {type(result).__name__ for result in results}
    named = {name for name in heads.__all__ if hasattr(getattr(heads, name), "figure")}
    assert named == made
    assert all(hasattr(getattr(heads, name), "_repr_html_") for name in named)


def test_what_cannot_be_drawn_shows_its_text() -> None:
    """An encoder's circuit has no tokens on its sides; a whole vocabulary is not searched."""
    circuit = heads.qk(rz.load(build("bert", torch.float32), check=False), 0, 0)
    assert circuit._repr_html_() is None and "QK" in repr(circuit)
    full = heads.ov(rz.load("microworld", check=False), 1, 2, full=True)
    assert full._repr_html_()
    rows = torch.ones(2**13 + 1, 1)
    large = replace(full, matrix=heads.FactoredMatrix(rows, rows.T))
    assert large._repr_html_() is None
