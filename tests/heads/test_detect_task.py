"""Detectors on a task: what heads look at where the answer is read, by hand and by runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from handmade import INDUCTION, PREVIOUS, handmade_induction, induction_task

import residuum as rz
from residuum.heads import detect_heads
from residuum.heads.logit_directions import LogitDirections
from residuum.heads.task_detectors import measure_task


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load(handmade_induction())


@pytest.fixture(scope="module")
def table(model: Any) -> Any:
    return detect_heads(model, task=induction_task(24), n=24, removal="zero")


def test_the_handmade_head_moves_the_answer(table: Any) -> None:
    """It looks at the answer alone, and adds one logit to it."""
    assert table.score("name_mover")[1, INDUCTION] == pytest.approx(1, abs=1e-6)
    assert table.score("task_direct")[1, INDUCTION] == pytest.approx(1, abs=1e-6)
    rows = table.of_type("name mover")
    assert [row.at for row in rows] == [f"L1.z[H{INDUCTION}]"]
    (cost,) = [each for name, each in table.costs.items() if name != "repeats"]
    assert cost.unit == "logits"
    assert cost.values[1, INDUCTION] == pytest.approx(1, abs=1e-4)
    assert cost.values[0, PREVIOUS] > 0.5


def test_what_no_prompt_holds_is_left_out_and_said(table: Any) -> None:
    """Wrong answers stand in the prompt once: no repeated wrong answer to inhibit."""
    assert "s_inhibition" not in table.scores
    assert any("s_inhibition" in note for note in table.notes)


def test_attention_and_direct_effect_by_hand() -> None:
    """On microworld's ioi, prompt by prompt, from patterns and head_out; prompts are padded."""
    model = rz.load("microworld")
    task = rz.task("ioi", model, n=6)
    found = measure_task(model, task, LogitDirections.of(model))
    norm = model.adapted.parts.final_norm
    for row in range(len(task)):
        end = int(task.lengths[row]) - 1
        ids = task.clean[row : row + 1, : end + 1]
        run = model.run(ids, capture=["pattern", "head_out", "L3.resid_post"])
        answer, wrong = int(task.answers[row, 0]), int(task.wrong[row, 0])
        at = [i for i in range(1, end + 1) if int(ids[0, i]) == answer]
        again = [i for i in range(1, end + 1) if int(ids[0, i]) == wrong][1:]
        stream = run["L3.resid_post"][0, end]
        size = (stream.var(unbiased=False) + norm.eps).sqrt()
        for layer, head in ((0, 1), (2, 7), (3, 3)):
            pattern = run["pattern", layer][0, head, end]
            mover = found.scores["name_mover"][layer, head, row]
            assert float(mover) == pytest.approx(float(pattern[at].sum()), abs=1e-5)
            if again:
                inhibits = found.scores["s_inhibition"][layer, head, row]
                assert float(inhibits) == pytest.approx(float(pattern[again].sum()), abs=1e-5)
            written = run["head_out", layer][0, end, head]
            scaled = (written - written.mean()) / size * norm.weight
            logit = scaled @ (model.W_U[:, answer] - model.W_U[:, wrong])
            direct = found.scores["task_direct"][layer, head, row]
            assert float(direct) == pytest.approx(logit.item(), abs=1e-4)


def test_costs_are_those_of_ablation() -> None:
    """The mean over the task's own tokens, as two runs say."""
    model = rz.load("microworld")
    task = rz.task("ioi", model, n=8)
    task = task.subset((task.lengths == task.lengths[0]).nonzero().flatten())
    table = detect_heads(model, task=task, n=8, removal_n=8)
    mean = model.run(task.clean, capture=["L3.z"])["L3.z"].mean((0, 1))[7]
    rows = torch.arange(len(task))

    def difference(run: Any) -> float:
        logits = run.last.double()
        return float((logits[rows, task.answers[:, 0]] - logits[rows, task.wrong[:, 0]]).mean())

    removed = model.run(task.clean, edits=[rz.Set("L3.z[H7]", mean)])
    cost = difference(model.run(task.clean)) - difference(removed)
    assert table.costs["ioi"].values[3, 7] == pytest.approx(cost, abs=1e-4)


def test_a_task_of_other_tokens_is_refused(model: Any) -> None:
    task = rz.Task.from_pairs(clean=[[1, 99, 2]], corrupt=[[1, 98, 2]], answers=[3], wrong=[4])
    with pytest.raises(rz.ResiduumError):
        detect_heads(model, task=task)
    with pytest.raises(rz.TaskError, match="needs a task"):
        detect_heads(model, task="ioi")


def test_microworld_in_the_large() -> None:
    """What the docs say of the embedded model."""
    model = rz.load("microworld")
    table = detect_heads(model, task=rz.task("ioi", model, n=48), n=48)
    induction = {row.at for row in table.of_type("induction")}
    assert "L2.z[H7]" in induction and all(at.startswith("L2.") for at in induction)
    assert {row.at for row in table.of_type("previous-token")} == {"L0.z[H2]", "L0.z[H4]"}
    assert {"L3.z[H7]"} <= {row.at for row in table.of_type("name mover")}
    assert np.isfinite(table.score("positional_share")).all()
