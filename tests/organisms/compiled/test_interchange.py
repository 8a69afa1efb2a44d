"""Interchange-trained models do, part by part, what their programs' parts do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import LoadError, OptionError
from residuum.organisms.compiled.interchange import (
    INTERCHANGE_RECIPES,
    InterchangeModel,
    InterchangeRecipe,
    interchange_trained,
    train_interchange,
)
from residuum.organisms.compiled.interchange.answers import UNASKED, Answers
from residuum.organisms.compiled.interchange.parts_run import nodes_of, run_parts
from residuum.organisms.compiled.interchange.scoring import score
from residuum.organisms.compiled.interchange.teaching import fresh_model
from residuum.organisms.compiled.interchange.trained import FOLDER

HEAD, MLP = rz.Address("L0.head_out[H0]"), rz.Address("L0.mlp_out")


@cache
def trained(name: str) -> InterchangeModel:
    return interchange_trained(name)


@pytest.mark.parametrize("name", INTERCHANGE_RECIPES)
def test_the_models_inside_the_package_score_on_prompts_they_never_saw(name: str) -> None:
    scores = trained(name).scores
    assert scores.prompts == len(trained(name).answers.unseen) >= 24
    assert scores.accuracy == 1.0
    assert scores.interchange_accuracy > 0.999
    assert scores.worst > 0.99
    assert max(scores.moves[node] for node in scores.outside) < 0.5
    assert min(scores.moves[node] for node in scores.inside) > 1
    assert set(scores.inside) == set(map(str, trained(name).circuit)) == set(scores.changed)
    assert min(scores.changed.values()) > 0.1
    assert len(scores.inside) == len(scores.outside) == 3


def test_all_of_them_together_are_small() -> None:
    assert sum(each.stat().st_size for each in FOLDER.iterdir()) < 1_000_000


def test_circuit_and_edges() -> None:
    made = trained("interchange_sort")
    assert {str(node): parts for node, parts in made.circuit.items()} == {
        "L0.head_out[H0]": ("place",),
        "L0.mlp_out": ("place",),
        "L1.head_out[H0]": ("sorted",),
    }
    program, nodes = (made.edges_of(kind) for kind in ("program", "nodes"))
    assert [made.graph.name(edge) for edge in np.flatnonzero(program)] == [
        "embed -> L0.q_in[H0]",
        "embed -> L0.k_in[H0]",
        "L0.head_out[H0] -> L0.mlp_in",
        "embed -> L1.q_in[H0]",
        "L0.mlp_out -> L1.k_in[H0]",
        "embed -> L1.v_in[H0]",
        "L1.head_out[H0] -> logits",
    ]
    assert not (program & ~nodes).any()
    assert not any("H1]" in made.graph.name(edge) for edge in np.flatnonzero(nodes))
    with pytest.raises(OptionError, match="no edges of kind 'zero'"):
        made.edges_of("zero")


@pytest.mark.parametrize("name", INTERCHANGE_RECIPES)
def test_a_task_is_solved(name: str) -> None:
    made = trained(name)
    for unseen in (False, True):
        check = made.task(16, unseen=unseen).evaluate(made.model)
        assert (check.clean.accuracy, check.corrupt.accuracy) == (1.0, 0.0)


def test_exchanged_by_edits_of_the_loaded_model_too() -> None:
    """Places from (4, 3, 2, 1) in a prompt that is sorted already turn it round."""
    made = trained("interchange_sort")
    words = made.answers.words
    base, source = (torch.tensor([words.encode(x)]) for x in ((1, 2, 3, 4), (5, 3, 2, 1)))
    donor = made.model.run(source, capture=["head_out", "mlp_out"])
    for site, wanted in (
        ("L0.mlp_out", [4, 3, 2, 1]),
        ("L0.head_out[H0]", [4, 3, 2, 1]),
        ("L1.head_out[H0]", [1, 2, 3, 5]),
        ("L0.head_out[H1]", [1, 2, 3, 4]),
        ("L1.mlp_out", [1, 2, 3, 4]),
    ):
        logits = made.model.run(base, edits=[rz.Patch(site, donor)]).logits
        assert [words.labels[each] for each in logits[0, 1:].argmax(-1)] == wanted


def test_one_of_them_is_an_ordinary_causal_model() -> None:
    made = trained("interchange_pattern")
    assert getattr(made.model.hf.config, "is_causal", True)
    task = made.task(12)
    forked, naive = (
        rz.patch(made.model, task, sites="resid_pre", by=("layer", "pos"), engine=engine).effects
        for engine in ("forked", "naive")
    )
    assert np.abs(forked.values - naive.values).max() < 1e-4
    assert np.abs(naive.values).max() > 1


def test_answers_to_interventions_by_hand() -> None:
    answers = Answers(INTERCHANGE_RECIPES["interchange_sort"])
    at = {prompt: row for row, prompt in enumerate(answers.prompts)}
    base, source = at[1, 2, 3, 4], at[3, 1, 4, 5]  # places of the source: 1, 0, 2, 3
    found = answers.of(MLP, [base], [source])
    assert [answers.words.labels[each] for each in found[0]] == [2, 1, 3, 4]
    plain = answers.of(None, [base], [source])
    assert [answers.words.labels[each] for each in plain[0]] == [1, 2, 3, 4]
    outside = answers.of(rz.Address("L0.head_out[H1]"), [base], [source])
    assert torch.equal(outside, plain)


def test_interventions_without_a_meaning_are_not_asked() -> None:
    """With repeated tokens, places of another prompt can average different tokens."""
    recipe = replace(INTERCHANGE_RECIPES["interchange_sort"], distinct=False, length=2)
    answers = Answers(recipe)
    at = {prompt: row for row, prompt in enumerate(answers.prompts)}
    mixed = answers.of(MLP, [at[1, 2]], [at[3, 3]])
    assert mixed.tolist() == [[UNASKED, UNASKED]]
    missing = answers.of(None, [at[3, 3]], [0])[0].tolist()
    assert missing == [answers.words.id_of(3), UNASKED]


def test_parts_add_up_to_the_model() -> None:
    made = trained("interchange_pattern")
    ids = made.answers.ids[:20]
    kept: dict[rz.Address, torch.Tensor] = {}
    logits = run_parts(made.model.hf, ids, keep=kept)
    assert (logits - made.model.run(ids).logits).abs().max() < 1e-4
    assert set(kept) == set(nodes_of(made.model.hf))
    again = run_parts(made.model.hf, ids, kept)
    assert torch.equal(again, logits)


def test_an_untrained_model_scores_badly() -> None:
    recipe = INTERCHANGE_RECIPES["interchange_sort"]
    answers = Answers(recipe)
    scores = score(fresh_model(recipe).eval(), answers, answers.unseen)
    assert scores.accuracy < 0.5
    assert max(scores.inside_changed.values()) < 0.5


def test_a_part_that_does_nothing_is_noticed() -> None:
    made = interchange_trained("interchange_sort")
    with torch.no_grad():
        made.model.hf.model.blocks[0].mlp.fc_out.weight.zero_()
    assert made.scores.inside_changed["L0.mlp_out"] < 0.5


TINY = InterchangeRecipe("tiny", "shift", ("a", "b"), 3, d_model=16, d_mlp=8, steps=60, batch=32)


def test_training_is_repeatable_and_learns(tmp_path: Path) -> None:
    one, other = train_interchange(TINY), train_interchange(TINY)
    assert one.model.adapted.weight_hash == other.model.adapted.weight_hash
    start = score(fresh_model(TINY).eval(), one.answers, one.answers.seen)
    assert one.seen_scores.interchange_accuracy > start.interchange_accuracy
    assert set(one.answers.seen) | set(one.answers.unseen) == set(range(8))
    assert not set(one.answers.seen) & set(one.answers.unseen)
    file = one.save(tmp_path / "tiny.safetensors")
    back = interchange_trained(file)
    assert back.recipe == TINY
    assert back.model.adapted.weight_hash == one.model.adapted.weight_hash
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(LoadError, match="holds no interchange-trained model"):
        interchange_trained(file)


def test_what_cannot_be_trained_or_found() -> None:
    with pytest.raises(OptionError, match="no interchange-trained model 'sort'"):
        interchange_trained("sort")
    with pytest.raises(OptionError, match="the output is a number"):
        train_interchange(replace(TINY, program="frac_prevs", options={"token": "a"}))


@pytest.mark.slow
@pytest.mark.parametrize("name", INTERCHANGE_RECIPES)
def test_the_recipes_give_such_models_again(name: str) -> None:
    scores = train_interchange(name).scores
    assert scores.accuracy > 0.99
    assert scores.interchange_accuracy > 0.99
    assert min(scores.outside.values()) > 0.98
