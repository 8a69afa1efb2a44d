"""The same question asked of other models: other sizes, other seeds, and what cannot be asked."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from induction_pairs import exchanged_repeats, nudged

import residuum as rz
from residuum.core import LoadError, OptionError
from residuum.findings import Finding
from residuum.models.handset import handmade_induction
from residuum.runs import Model

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def trained() -> Model:
    return rz.load("induction_2l")


@pytest.fixture(scope="module")
def other_names() -> list[str]:
    return ["induction_2l_nopos", "skip_trigram_1l", "handmade_induction"]


@pytest.fixture(scope="module")
def found(trained: Model, other_names: list[str]) -> Finding:
    """Two layers without positions, one layer, and a model with a smaller vocabulary."""
    also = [rz.load(name) for name in other_names]
    return rz.investigate(trained, exchanged_repeats(32), stages=("robustness",), also=also)


def test_each_is_asked_by_a_search_of_its_own(found: Finding, other_names: list[str]) -> None:
    assert found.status == "supported" and found.robustness is not None
    assert list(found.also) == other_names
    without, one_layer = found.robustness.models
    assert (without.name, one_layer.name) == tuple(other_names[:2])
    assert without.present and set(without.parts) == {f"L1.z[H{i}]" for i in range(4)}
    assert without.recovered is not None and without.recovered.low > 0.9
    assert without.same_recovered is not None  # of the same shape, so the same parts exist
    assert not one_layer.present and one_layer.parts == () and one_layer.recovered is None


def test_the_claim_says_where_it_does_not_hold_and_the_scope_what_was_not_asked(
    found: Finding,
) -> None:
    assert "not shown to hold in every other model (it does in 1 of 2; " in found.claim
    assert "the behaviour is absent in skip_trigram_1l" in found.claim
    assert "nopos: L1" not in found.claim  # where it holds it takes no room
    (line,) = [line for line in found.scope if line.startswith("Beyond these pairs")]
    assert "handmade_induction: 32 of 32 pairs do not fit" in line and "row 2" not in line
    assert "other tasks, other templates" in found.limits[-1]
    assert "other models" not in found.limits[-1]


def test_it_is_replayed_with_them(found: Finding, tmp_path: Path, trained: Model) -> None:
    path = found.save(tmp_path / "finding")
    again = rz.replay(path)
    assert again.agrees, again.differences
    others = [rz.load(name) for name in found.also]
    others[1] = nudged(trained)
    result = rz.replay(path, trained, check=False, also=others)
    assert "robustness.models[1].weight_hash" in {each.where for each in result.differences}


def test_one_that_is_gone_is_said(found: Finding, tmp_path: Path, trained: Model) -> None:
    gone = str(tmp_path / "gone")
    path = replace(found, also=(gone,)).save(tmp_path / "finding")
    with pytest.raises(LoadError, match="another model that was asked the same") as caught:
        rz.replay(path, trained)
    assert gone in caught.value.what and "also=" in caught.value.mend


def test_the_same_weights_are_no_other_model(trained: Model, finding: Finding) -> None:
    """Under another name, too; neither beside it nor to carry the claim to."""
    again = rz.load("induction_2l")
    for also, name in (([again], "induction_2l"), ([rz.load("microworld")] * 2, "microworld")):
        with pytest.raises(OptionError, match=f"also= holds {name}, whose weights") as caught:
            rz.investigate(trained, exchanged_repeats(8), also=also)
        assert "give models with other weights" in caught.value.mend
        with pytest.raises(OptionError, match="whose weights are asked already"):
            rz.examine(trained, exchanged_repeats(8), ["L0.z[H0]"], also=also)
    with pytest.raises(OptionError, match="the very weights that this finding is about") as caught:
        rz.transfer(finding, rz.load("microworld"), stages=())
    assert "rz.replay" in caught.value.mend


def exchanged(n: int = 40) -> rz.Task:
    """Five of eleven tokens, and the first two again; two are exchanged in the corrupt copy."""
    draw = torch.Generator().manual_seed(0)
    blocks = [(1 + torch.randperm(11, generator=draw)[:5]).tolist() for _ in range(n)]
    return rz.Task.from_pairs(
        clean=[[0, a, b, c, d, e, a, b] for a, b, c, d, e in blocks],
        corrupt=[[0, a, d, c, b, e, a, b] for a, b, c, d, e in blocks],
        answers=[c for _, _, c, _, _ in blocks],
        wrong=[e for _, _, _, _, e in blocks],
    )


def test_a_model_of_another_size_has_its_own_parts_and_one_without_a_file_is_given(
    tmp_path: Path, trained: Model
) -> None:
    """Three heads in each layer, set by hand and in no file; four, trained."""
    small = rz.load(handmade_induction())
    found = rz.investigate(small, exchanged(), stages=("robustness",), also=[trained])
    assert found.status == "supported" and found.robustness is not None
    (larger,) = found.robustness.models
    assert larger.present and larger.same_recovered is None
    assert larger.recovered is not None and larger.recovered.low > 0.3
    assert any(at.startswith("L1.z") for at in larger.parts)
    assert rz.replay(found.save(tmp_path), small, also=[trained]).agrees


def test_the_table_on_the_page_is_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "docs"))
    monkeypatch.setattr(sys, "argv", ["make_sizes.py", "--check"])
    from make_sizes import END, PAGE, START, table
    from page_table import main_of

    assert main_of(PAGE, START, END, table, None) == 0, "run python docs/make_sizes.py"
