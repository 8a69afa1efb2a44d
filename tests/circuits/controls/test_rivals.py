from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from handmade import INDUCTION, PREVIOUS, induction_task

import residuum as rz
from residuum.circuits import EAP, Circuit, LearnedMask, discover
from residuum.circuits.controls.permuted_control import permuted_control
from residuum.circuits.controls.permuting import permuted_weights
from residuum.circuits.controls.rivals import rival_circuits


@cache
def hand() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def world() -> rz.Model:
    return rz.load("microworld")


@cache
def found(n_edges: int = 3) -> Circuit:
    return discover(hand(), induction_task(), EAP(), n_edges=n_edges)


def test_the_hand_set_circuit_has_no_rival() -> None:
    rivals = rival_circuits(
        found(), hand(), induction_task(), method=LearnedMask(n_edges=3, steps=60), seeds=(1,)
    )
    assert rivals.faithfulness["counterfactual"].value == pytest.approx(1, abs=1e-6)
    assert rivals.rivals == () and len(rivals.candidates) == 6
    far = rivals.candidates[3]
    assert far.origin == "scores × 0" and far.edges < 1
    assert far.faithfulness["counterfactual"].value < 0.5
    assert "0 of 6 candidates are rivals" in rivals.summary()
    assert rivals.warnings == found().own_warnings


def test_a_circuit_with_idle_edges_has_rivals() -> None:
    """Its three edges carry all; the others can be exchanged for any."""
    circuit = found(3)
    idle = np.flatnonzero(~circuit.kept)[:20]
    padded = circuit.kept.copy()
    padded[idle] = True
    values = np.where(circuit.kept, 100.0, np.where(padded, 1.0, 0.01))
    scores = replace(circuit.scores, values=values, examples=None, se=None)
    one = replace(circuit, kept=padded, scores=scores, selection={"how": "top", "by": "signed"})
    rivals = rival_circuits(one, hand(), induction_task(), factors=(0.001,), shared=0.5)
    best = rivals.rivals[0]
    assert best.edges == pytest.approx(3 / 43) and best.faithfulness["counterfactual"].value > 0.99
    assert rivals.circuit_of(best).n_edges == 23
    assert f"L0.head_out[H{PREVIOUS}] -> L1.k_in[H{INDUCTION}]" in rivals.circuit_of(best)


def test_rivals_are_saved(tmp_path) -> None:
    rivals = rival_circuits(found(), hand(), induction_task(), references=("mean", "zero"))
    for suffix in ("json", "csv", "svg"):
        rivals.save(tmp_path / f"r.{suffix}")
    data = json.loads((tmp_path / "r.json").read_text())
    assert len(data["candidates"]) == 5 and set(data["faithfulness"]) == {"mean", "zero"}
    assert len(rivals.warnings) == 2 + len(found().own_warnings)
    assert "under zero the circuit itself" in rivals.summary()
    assert len(rivals.to_dataframe()) == 12 and len(rivals.figure().values) == 12


def test_rivals_refuse() -> None:
    circuit, task = found(), induction_task()
    for given, options, match in (
        (circuit, {"method": EAP()}, "go together"),
        (circuit, {"seeds": (1,)}, "go together"),
        (replace(circuit, scores=None), {}, "nothing to search with"),
        (circuit, {"tolerance": 0}, "out of range"),
        (circuit, {"shared": 2}, "out of range"),
        (circuit, {"factors": (1.0,)}, "factors"),
        (circuit, {"references": "median"}, "median"),
        (circuit.with_kept(np.zeros_like(circuit.kept)), {}, "empty"),
    ):
        with pytest.raises(rz.OptionError, match=match):
            rival_circuits(given, hand(), task, **options)
    with pytest.raises(rz.OptionError, match="candidate 9"):
        rival_circuits(circuit, hand(), task).circuit_of(9)


def test_permuted_weights_keep_every_number_and_no_behaviour() -> None:
    before = world().adapted.weight_hash
    shuffled = permuted_weights(world(), seed=3)
    assert world().adapted.rehash() == before != shuffled.adapted.weight_hash
    own, other = (dict(each.hf.named_parameters()) for each in (world(), shuffled))
    for name, weight in own.items():
        assert weight.shape == other[name].shape
        if weight.ndim < 2:
            assert weight.equal(other[name])
        else:
            assert weight.flatten().sort().values.equal(other[name].flatten().sort().values)
            assert not weight.equal(other[name])
    assert permuted_weights(world(), 3).adapted.weight_hash == shuffled.adapted.weight_hash
    assert permuted_weights(world(), 4).adapted.weight_hash != shuffled.adapted.weight_hash
    assert shuffled.adapted.seam_proven and "seed 3" in shuffled.name
    tied = own["transformer.wte.weight"] is world().hf.lm_head.weight
    assert tied == (other["transformer.wte.weight"] is shuffled.hf.lm_head.weight)
    task = rz.task("ioi", world(), n=16)
    assert task.evaluate(world()).clean.accuracy == 1
    assert task.evaluate(shuffled).clean.accuracy < 0.95


def test_the_chain_finds_little_where_nothing_is(tmp_path) -> None:
    task = rz.task("ioi", world(), n=12)
    circuit = discover(world(), task.subset(range(6)), EAP(), n_edges=60)
    control = permuted_control(
        circuit, world(), task.subset(range(6, 12)), EAP(), n=2, found_on=task.subset(range(6)),
        references=("counterfactual", "mean"),
    )  # fmt: skip
    assert len(control.own) == 2 and len(control.permuted) == 4
    assert control.own[0].faithfulness.value > 0.8
    assert control.gap_frac < 0.2 and "permuted" in control.summary()
    assert {each.n_edges for each in control.permuted} == {60}
    control.save(tmp_path / "p.json")
    assert len(json.loads((tmp_path / "p.json").read_text())["models"]) == 6
    control.save(tmp_path / "p.csv")
    control.save(tmp_path / "p.svg")


def test_the_permuted_control_refuses() -> None:
    with pytest.raises(rz.OptionError, match="no method"):
        permuted_control(found(), hand(), induction_task(), EAP)
    with pytest.raises(rz.OptionError, match="n="):
        permuted_control(found(), hand(), induction_task(), EAP(), n=0)
    with pytest.raises(rz.OptionError, match="permuted_weights"):
        permuted_weights("microworld")
