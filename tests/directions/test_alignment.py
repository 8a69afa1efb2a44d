from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from planted import planted

import residuum as rz
from residuum.core import Address, OptionError, TaskError
from residuum.directions.alignment import AlignmentSearch, align, template_halves
from residuum.directions.interchange import as_preference, follows, learn
from residuum.directions.interventions import read_pairs

AT = "L0.resid_post"


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    return planted()


@pytest.fixture(scope="module")
def found(world):
    return align(world.model, world.task(192, decoyed=False), AT)


def test_the_planted_direction_is_learned(found, world):
    """Where the decoy is independent of the answer."""
    assert abs(float(found.basis[0] @ world.used)) > 0.98
    assert abs(float(found.basis[0] @ world.decoy)) < 0.15
    assert found.accuracy == found.train_accuracy == found.whole_site == 1
    assert found.random_high < 1 and found.holds
    assert not set(found.trained_on) & set(found.judged_on)


def test_a_prompt_in_two_templates_is_refused(world):
    task = world.task()
    twice = replace(task, templates=("one", "other") * (len(task) // 2))
    with pytest.raises(TaskError, match="prompts stand in templates of both halves"):
        align(world.model, twice, AT)


def test_the_controls_are_the_draws_of_a_proof():
    """The used sign is nearly all that varies: draws of the whole covariance are it over again."""
    strong = planted(strength=(8.0, 0.5, 0.5), noise=0.1)
    found = align(strong.model, strong.task(decoyed=False), AT, method=AlignmentSearch(1, steps=20))
    assert found.random_high < found.accuracy == 1 and found.holds


def test_the_illusion_in_closed_form(world):
    """A decoy that agrees with the answer is taken in, although nothing reads it.

    Along cos θ · used + sin θ · decoy an interchange moves the answer by
    (cos θ + sin θ) cos θ: most at θ = 22.5°, more than along ``used`` alone. A proof still tells
    them apart: the decoy by itself does nothing.
    """
    found = align(world.model, world.task(), AT, method=AlignmentSearch(1, steps=200))
    tangent = float((found.basis[0] @ world.decoy) / (found.basis[0] @ world.used))
    assert 0.25 < tangent < 0.7  # tan 22.5° is 0.41
    assert found.accuracy == 1


def test_at_a_place_without_the_answer_nothing_holds(world):
    """At the first token, the same in both prompts of a pair, an interchange changes nothing."""
    found = align(world.model, world.task(), f"{AT}@0")
    assert found.accuracy == found.whole_site == 0 and not found.holds


def test_untrained_models_have_such_subspaces(world, found):
    """The trap: where a whole-site interchange works in a random model, a search finds a way."""
    wide = align(world.model, world.task(), AT, method=AlignmentSearch(16))
    assert wide.untrained >= found.untrained
    assert "untrained model" in repr(wide)


def test_the_basis_is_orthonormal_and_seeded(world):
    pairs = read_pairs(world.model, Address.parse(AT), as_preference(world.task(16)))
    method = AlignmentSearch(3, steps=5)
    one, two, other = (learn(world.model, pairs, 3, method.training, s) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.allclose(one, other)
    assert torch.allclose(one @ one.T, torch.eye(3), atol=1e-5)


def test_following_in_closed_form(world):
    pairs = read_pairs(world.model, Address.parse(AT), as_preference(world.task(16)))
    assert follows(world.model, pairs, world.used[None]).all()
    assert not follows(world.model, pairs, world.decoy[None]).any()


def test_as_a_method_of_finding(world):
    task = world.task(192, decoyed=False)
    found = rz.direction(world.model, task, at=AT, method=AlignmentSearch(1), prove=False)
    assert found.cosine(world.used) > 0.98
    proven = rz.direction(world.model, task, at=AT, method=AlignmentSearch(1))
    assert proven.proof is not None and proven.proof.verdict["causal"] is True


def test_it_saves_and_draws(found, tmp_path):
    found.save(tmp_path / "found.json")
    data = json.loads((tmp_path / "found.json").read_text())
    assert data["accuracies"][0]["accuracy"] == 1 and len(data["basis"]) == 1
    found.save(tmp_path / "found.svg")
    assert len(found.to_dataframe()) == 7 and "interchange" in found._repr_html_()


def test_refusals(world):
    with pytest.raises(OptionError, match="k=99 at a site of 32"):
        align(world.model, world.task(8), AT, method=AlignmentSearch(99))
    with pytest.raises(OptionError, match="rate"):
        AlignmentSearch(rate=2)
    with pytest.raises(OptionError, match="k"):
        AlignmentSearch(0)
    task = world.task(8)
    one = task.subset([i for i, t in enumerate(task.templates) if t == task.templates[0]])
    with pytest.raises(TaskError, match="1 templates"):
        template_halves(one)
    bare = rz.Task.from_pairs(clean=task.clean, corrupt=task.corrupt, answers=task.answers[:, 0])
    with pytest.raises(TaskError, match="no wrong ones"):
        as_preference(bare)
