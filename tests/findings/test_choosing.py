"""Heads are chosen by what they move alone, MLPs by what they add to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import residuum as rz
from residuum.core import SILENT
from residuum.findings import BUDGETS
from residuum.findings.chain import choosing
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.choosing import SUFFICIENT, _Joint, choose_parts
from residuum.findings.record.words import parts_in_words
from residuum.patching import Sweep
from residuum.runs import Model

CELLS = ("layer", "head")


@pytest.fixture(scope="module")
def facts(model: Model) -> tuple[Bench, Sweep, Sweep]:
    bench = Bench(model, rz.task("facts", model, n=32)[0::2])
    mlps = rz.patch(model, bench.task, "mlp_out", ("layer",))
    return bench, rz.patch(model, bench.task, "z", CELLS), mlps


def test_heads_that_carry_the_answer_need_no_mlp(facts: tuple[Bench, Sweep, Sweep]) -> None:
    bench, heads, mlps = facts
    chosen = choose_parts(bench, heads, mlps, BUDGETS["quick"])
    assert len(chosen) == 4 and all(".z[H" in at for at, _ in chosen)
    assert min(_Joint(bench, [at for at, _ in chosen], SILENT).both(
        [at for at, _ in chosen])) >= SUFFICIENT  # fmt: skip


def test_an_mlp_is_named_where_heads_do_not_suffice(facts: tuple[Bench, Sweep, Sweep]) -> None:
    """One head alone carries a quarter; the first MLP, which recodes the country, the rest."""
    bench, heads, mlps = facts
    few = replace(BUDGETS["quick"], max_heads=1)
    chosen = choose_parts(bench, heads, mlps, few)
    assert [at for at, _ in chosen] == ["L2.z[H0]", "L0.mlp_out"]
    assert choose_parts(bench, heads, None, few) == chosen[:1]
    assert choose_parts(bench, heads, mlps, replace(few, max_mlps=0)) == chosen[:1]


def test_where_nothing_is_strong_the_strongest_stands_alone(
    facts: tuple[Bench, Sweep, Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, heads, mlps = facts
    monkeypatch.setattr(choosing, "SMALLEST_SHARE", 2.0)
    monkeypatch.setattr(choosing, "SMALLEST_GAIN", 2.0)
    assert [at for at, _ in choose_parts(bench, heads, None, BUDGETS["quick"])] == ["L2.z[H0]"]
    assert [at for at, _ in choose_parts(bench, heads, mlps, BUDGETS["quick"])] == ["L0.mlp_out"]


def test_named_mlps_are_examined_and_said(model: Model) -> None:
    found = rz.examine(model, rz.task("facts", model, n=32), ["L2.z[H0]", "L0.mlp_out"], stages=())
    assert found.parts is not None and found.where is not None and found.roles is not None
    assert found.status == "supported" and "head L2.H0 and the MLP of layer 0" in found.claim
    mlp = found.parts.named[1]
    assert mlp.p == found.where.parts.p[0][1] and mlp.patch.value == pytest.approx(
        found.where.parts.effects[0][1], abs=1e-3
    )
    assert not found.parts.removals[0].layers_matched
    assert "L0.mlp_out" not in [head.at for head in found.roles.heads]


def test_an_mlp_alone_has_no_head_to_show(model: Model, tmp_path: Path) -> None:
    """Three other MLPs are too few to compare with: random directions join them."""
    found = rz.examine(model, rz.task("facts", model, n=32), ["L0.mlp_out"], stages=())
    assert found.parts is not None
    joint = found.parts.together
    assert (len(joint.random_recovered), len(joint.pushed_recovered)) == (3, 17)
    assert "17 random directions" in found.claim and found.save(tmp_path)


def test_a_page_without_any_head(model: Model, tmp_path: Path) -> None:
    found = rz.examine(model, rz.task("facts", model, n=16), ["L0.mlp_out"], stages=())
    assert found.roles is not None
    bare = replace(found.roles, heads=(), writers=(), removal=None, pictures=())
    page = replace(found, roles=bare).save(tmp_path).with_name("report.html").read_text()
    assert "No head is described here; of the MLPs" in page


def test_parts_in_words() -> None:
    assert parts_in_words(["L0.mlp_out", "L2.mlp_out"]) == "the MLPs of layers 0 and 2"
    assert parts_in_words(["L1.z[H2]"]) == "head L1.H2"
