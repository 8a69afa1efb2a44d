"""What a head table costs, counted in rows that go through the first block."""

from __future__ import annotations

from typing import Any

import pytest

import residuum as rz
from residuum.heads import detect_heads

PROOFS = 4
"""Rows beside the prompts: weights are proved on a random input before they are read."""


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load("microworld")


class Rows:
    """Prompts that a model's first block sees."""

    def __init__(self, model: Any) -> None:
        self.count = 0
        self.hook = model.hf.transformer.h[0].register_forward_pre_hook(self)

    def __call__(self, module: Any, arguments: tuple[Any, ...]) -> None:
        self.count += arguments[0].shape[0]

    def stop(self) -> int:
        self.hook.remove()
        return self.count


def test_scores_take_one_pass_and_a_third(model: Any) -> None:
    """All prompts once, and about 16 of them once more without their repeats."""
    seen = Rows(model)
    table = detect_heads(model, n=50, removal=None)
    rows = seen.stop()
    assert 50 < rows <= 1.4 * 50 + PROOFS
    assert set(table.passes) == {"repeats"} and 1 < table.passes["repeats"] <= 1.4
    assert 0 <= rows - 50 * table.passes["repeats"] <= PROOFS


def test_own_prompts_take_two_passes(model: Any) -> None:
    ids = rz.heads.random_repeats(model, 20).ids
    seen = Rows(model)
    table = detect_heads(model, prompts=ids, n=20, removal=None)
    rows = seen.stop()
    assert rows <= 4 * 20 + PROOFS and table.passes["text"] == 2.0


def test_removal_is_counted_too(model: Any) -> None:
    """Fewer passes over its prompts than one for each of the 32 heads."""
    table = detect_heads(model, n=20, removal_n=8)
    assert 1 < table.passes["removal on repeats"] < 20


def test_rows_by_name(model: Any) -> None:
    table = detect_heads(model, n=4, removal=None)
    assert len(table) == 32 and [row.at for row in table] == [row.at for row in table.heads]
    assert table["L2H7"] == table["L2.z[H7]"] == table[2, 7] == table.head(2, 7)
    for wrong, what in (("L2H8", "out of range"), ("H8", "no head"), (3, "no head"),
                        ((1, "a"), "out of range"), ((1, 2, 3), "no head")):  # fmt: skip
        with pytest.raises(rz.core.OptionError, match=what) as refused:
            table[wrong]
        assert refused.value.mend
