from __future__ import annotations

import dataclasses
import json
from functools import cache

import numpy as np
import pytest
import torch
from handmade import INDUCTION, LETTERS, PREVIOUS, WIDTH, induction_task

import residuum as rz
from residuum.circuits import (
    EAP,
    Circuit,
    Dissociation,
    circuit_from_edges,
    discover,
    graph_of,
)
from residuum.circuits.controls.damage import damage_matrix
from residuum.circuits.controls.text_task import text_task
from residuum.circuits.judging.ratios import Estimate

DEEDS = (
    f"embed -> L0.v_in[H{PREVIOUS}]",
    f"L0.head_out[H{PREVIOUS}] -> L1.k_in[H{INDUCTION}]",
    f"L1.head_out[H{INDUCTION}] -> logits",
)
PLACES = ("L0.head_out[H0] -> logits", "L1.head_out[H0] -> logits")
"""Head 0 of both layers adds what hangs on positions alone."""


@cache
def hand() -> rz.Model:
    return rz.load("handmade_induction")


def named(*edges: str) -> Circuit:
    return circuit_from_edges(graph_of(hand()), edges)


@cache
def places_task(n: int = 12) -> rz.Task:
    """The letters that the places favour most and least, and prompts without either of them."""
    generator = torch.Generator().manual_seed(0)
    kept = hand().run(torch.arange(WIDTH)[None], capture=["head_out"])
    adds = sum(kept["head_out", layer][0, -1, 0] for layer in range(2))
    logits = adds @ hand().hf.lm_head.weight.T
    order = logits[1:].argsort() + 1
    right, wrong = int(order[-1]), int(order[0])
    others = torch.tensor([each for each in range(1, LETTERS) if each not in (right, wrong)])
    rows = torch.stack(
        [others[torch.randperm(len(others), generator=generator)] for _ in range(2 * n)]
    )
    ids = torch.cat([torch.zeros(2 * n, 1, dtype=torch.long), rows[:, : WIDTH - 1]], dim=1)
    return rz.Task.from_pairs(
        clean=ids[:n], corrupt=ids[n:], answers=[right] * n, wrong=[wrong] * n, name="places"
    )


@cache
def both():
    circuits = {"induction": named(*DEEDS), "places": named(*PLACES)}
    tasks = {"induction": induction_task(), "places": places_task()}
    return damage_matrix(circuits, hand(), tasks, reference="zero", n_random=20)


def test_each_circuit_harms_its_own_task_alone() -> None:
    found = both()
    assert found["places", "places"].damage.value == pytest.approx(1, abs=1e-5)
    assert found["induction", "places"].damage.value == pytest.approx(0, abs=1e-5)
    assert found["induction", "induction"].damage.value > 0.7
    assert abs(found["places", "induction"].damage.value) < 0.3
    (pair,) = found.dissociations
    assert pair.holds and "double dissociation" in str(pair)
    assert found.values.shape == (2, 2)


def test_a_cell_is_two_masked_runs() -> None:
    found, task = both(), induction_task()
    circuit = found.circuits["induction"]
    runs = rz.MaskedRuns(hand(), circuit.graph, task, "zero")
    whole = np.ones_like(circuit.kept)
    full, empty, rest = runs.metric(np.stack([whole, ~whole, ~circuit.kept]))
    cell = found["induction", "induction"]
    assert cell.damage.value == pytest.approx((full - rest).mean() / (full - empty).mean())
    assert cell.lost.value == pytest.approx((full - rest).mean())


def test_one_circuit_under_two_names_dissociates_from_nothing() -> None:
    task = induction_task()
    found = damage_matrix(
        {"a": named(*DEEDS), "b": named(*DEEDS)},
        hand(),
        {"a": task.subset(range(8)), "b": task.subset(range(8, 16))},
        reference="counterfactual",
    )
    (pair,) = found.dissociations
    assert found.values == pytest.approx(1, abs=1e-6)
    assert not pair.holds and "no double dissociation" in found.summary()


def test_random_circuits_outside_do_no_harm() -> None:
    task = {"induction": induction_task(8)}
    one = {"induction": named(*DEEDS)}
    options = {"reference": "counterfactual", "n_random": 20}
    (within,) = damage_matrix(one, hand(), task, **options).random
    (outside,) = damage_matrix(one, hand(), task, outside=True, **options).random
    assert outside.largest == pytest.approx(0, abs=1e-6)
    assert 0.1 < within.largest <= 1 + 1e-6


def test_plain_text_has_a_column() -> None:
    rows = torch.cat([torch.zeros(6, 1, dtype=torch.long), torch.randint(1, 12, (6, 9))], dim=1)
    rows[:, 6:] = rows[:, 2:6]  # text that repeats itself
    found = damage_matrix(
        {"induction": named(*DEEDS)},
        hand(),
        {"induction": induction_task()},
        reference="counterfactual",
        text=list(rows),
        n_tokens=40,
    )
    cell = found["induction", "text"]
    assert found.tasks == ("induction", "text") and cell.reference == "mean"
    assert cell.unit == "nats" and cell.lost.value > 0
    assert "text" in found.summary()


def test_text_is_made_of_prefixes() -> None:
    task = text_task(hand(), [[0, 3, 4, 5], [0, 7, 8]], n=10)
    assert task.lengths.tolist() == [2, 3, 2] and task.answers.flatten().tolist() == [4, 5, 8]
    assert task.templates == ("text 0", "text 0", "text 1")
    with pytest.raises(rz.TaskError, match="no text has a token"):
        text_task(hand(), [[0, 1]])


def test_files_and_figure(tmp_path) -> None:
    for suffix in ("json", "csv", "svg"):
        both().save(tmp_path / f"d.{suffix}")
    data = json.loads((tmp_path / "d.json").read_text())
    assert len(data["cells"]) == 4 and data["dissociations"][0]["holds"] is True
    picture = both().figure()
    assert picture.values.shape == (2, 2) and picture.unit == "share" and not picture.y
    assert "1 of 1 pairs of circuits dissociate" in picture.caption
    alone = dataclasses.replace(both(), circuits={"places": both().circuits["places"]})
    assert "dissociate" not in alone.figure().caption
    assert "random_max" in both().to_dataframe()


def test_what_cannot_be_asked() -> None:
    one, task = {"a": named(*DEEDS)}, {"a": induction_task(4)}
    other = discover(hand(), task["a"], EAP(), n_edges=3)
    placed = rz.Task.from_pairs(
        clean=task["a"].clean, corrupt=task["a"].corrupt, answers=task["a"].answers,
        wrong=task["a"].wrong, positions={"end": [WIDTH - 1] * 4},
    )  # fmt: skip
    by_position = graph_of(hand(), placed, by_position=True)
    spread = circuit_from_edges(by_position, by_position.names[:3])
    for circuits, tasks, options, match in (
        ({}, task, {}, "needs circuits and tasks"),
        (one, {}, {}, "needs circuits and tasks"),
        ({"a": "b"}, task, {}, "asks of a circuit"),
        ({"a": other, "b": spread}, task, {}, "another graph"),
        (one, {"text": task["a"]}, {"text": [[0, 1, 2, 3]]}, "named 'text'"),
        (one, task, {"reference": "median"}, "median"),
        ([one["a"]], task, {}, "takes its circuits by name"),
        (one, [task["a"]], {}, "takes its tasks by name"),
        ({1: one["a"]}, task, {}, "takes its circuits by name"),
        ({"a": spread}, {"a": placed}, {"text": [[0, 1, 2, 3]]}, "has no positions named end"),
    ):
        with pytest.raises(rz.OptionError, match=match):
            damage_matrix(circuits, hand(), tasks, **options)
    with pytest.raises(rz.OptionError, match="no cell"):
        both()["induction", "text"]
    same = rz.Task.from_pairs(
        clean=task["a"].clean, corrupt=task["a"].clean, answers=task["a"].answers,
        wrong=task["a"].wrong,
    )  # fmt: skip
    with pytest.raises(rz.TaskError, match="says the same"):
        damage_matrix(one, hand(), {"a": same}, reference="counterfactual")


def test_a_circuit_that_harms_nothing_dissociates_from_nothing() -> None:
    """One that leaves its own task as it is and makes the other's better harms it more, too."""
    near = Estimate(0.01, -0.01, 0.03, 8)
    above = Estimate(0.5, 0.4, 0.6, 8)
    held = Dissociation("a", "b", above, above, above, above, above, above)
    idle = Dissociation("a", "b", above, near, above, above, above, above)
    assert held.holds and not held.harmless
    assert not idle.holds and idle.harmless == ("b",)
    assert "b may do its own task no harm" in str(idle) and "no harm" not in str(held)


def test_harms_are_the_cells_on_the_diagonal() -> None:
    (pair,) = both().dissociations
    assert pair.harm_first == both()["induction", "induction"].damage
    assert pair.harm_second == both()["places", "places"].damage


def test_repeated_pairs_and_prompts_of_the_discovery_are_said() -> None:
    task = induction_task(8)
    circuit = {"induction": discover(hand(), task, EAP(), n_edges=3)}
    once = damage_matrix(circuit, hand(), {"induction": task}, reference="counterfactual")
    twice = damage_matrix(
        circuit, hand(), {"induction": task.subset([*range(8)] * 3)}, reference="counterfactual"
    )
    assert twice["induction", "induction"].damage == once["induction", "induction"].damage
    assert any("16 of 24 pairs repeat" in each for each in twice.warnings)
    assert any("8 of 8 prompts are those" in each for each in once.warnings)
    other = {"induction": induction_task(8, 3)}
    assert not damage_matrix(circuit, hand(), other, reference="counterfactual").warnings


def test_a_graph_that_leaves_edges_out_is_told_by_damage_and_by_roles() -> None:
    graph = graph_of(hand())
    rows = [graph.index(each) for each in DEEDS]
    partial = dataclasses.replace(graph, edges=graph.edges[rows])
    circuit, task = circuit_from_edges(partial, DEEDS), induction_task(8)
    for warnings in (
        damage_matrix({"deeds": circuit}, hand(), {"copy": task}).warnings,
        rz.name_roles(circuit, hand(), task).warnings,
    ):
        assert any("the graph leaves out" in each for each in warnings), warnings
    assert not any(
        "leaves out" in each for each in rz.name_roles(named(*DEEDS), hand(), task).warnings
    )
