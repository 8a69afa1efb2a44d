from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from planted import NO, YES, planted

import residuum as rz
from residuum.core import Address, AddressError, Erase, OptionError, StoreError, TaskError
from residuum.directions.direction import Direction
from residuum.directions.interventions import (
    answers_after,
    edited,
    effects,
    gap_along,
    read_pairs,
)
from residuum.directions.leace import LeaceFitter
from residuum.directions.neutral_effect import NeutralEffect
from residuum.directions.orientation import oriented
from residuum.directions.origin import Origin
from residuum.directions.proof import Proof
from residuum.directions.proving import prove, unseen
from residuum.directions.random_directions import levelled, orthonormal

AT = Address.parse("L0.resid_post")


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    return planted()


def given(world, vector, at=AT, origin=None) -> Direction:
    return Direction(
        at, vector, 1.0, 0.0, "given", origin or Origin(),
        world.model.adapted.weight_hash, world.model.provenance(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def proof(world):
    return prove(
        given(world, world.used), world.model, world.task(), off_target=[world.other_task()]
    )


def test_edits_are_what_they_say(world):
    pairs = read_pairs(world.model, AT, world.task(8))
    basis = world.used[None]
    x = pairs.values
    along = x @ world.used
    added = edited(pairs, "add", basis, 3 * world.used) @ world.used
    assert torch.allclose(added - along, torch.tensor([-3.0, 3.0])[:, None, None], atol=1e-5)
    swapped = edited(pairs, "swap", basis, world.used)
    assert torch.allclose(swapped @ world.used, along.flip(0), atol=1e-5)
    assert torch.allclose(swapped @ world.decoy, x @ world.decoy, atol=1e-5)
    erased = edited(pairs, "erase", basis, world.used) @ world.used
    assert torch.allclose(erased, (pairs.centre @ world.used).expand_as(erased), atol=1e-5)


def test_a_position_limits_what_is_written(world):
    task = world.task(8)
    first = read_pairs(world.model, replace(AT, pos=0), task)
    changed = edited(first, "add", world.used[None], world.used) - first.values
    assert changed[:, :, 0].abs().max() > 0.1 and changed[:, :, 1].abs().max() == 0
    with pytest.raises(AddressError, match="outside the shortest prompt"):
        read_pairs(world.model, replace(AT, pos=7), task)


def test_erasing_equals_the_erase_edit(world):
    task = world.task(8)
    pairs = read_pairs(world.model, AT, task)
    basis = world.used[None]
    made = answers_after(world.model, pairs, [edited(pairs, "erase", basis, world.used)])[0, 0]
    edit = Erase(AT, world.used, bias=(pairs.centre @ world.used) * world.used)
    last = world.model.run(task.clean, edits=[edit]).last
    assert torch.allclose(made, (last[:, YES] - last[:, NO]).double(), atol=1e-5)


def test_effects_in_closed_form(world):
    """The planted model reads 4 x the component into the difference of logits."""
    pairs = read_pairs(world.model, AT, world.task(12))
    shift = gap_along(pairs, world.used[None])
    assert torch.allclose(shift, 2 * world.used, atol=1e-5)
    for kind in ("add", "erase", "swap"):
        found = effects(world.model, pairs, kind, [world.used[None]], [shift])
        assert torch.allclose(found, torch.full_like(found, 8.0), atol=1e-4)


def test_the_planted_direction_has_all_three_verdicts(proof):
    assert proof.verdict == {"decodable": True, "causal": True, "specific": True}
    assert proof["swap"].recovered_frac == pytest.approx(1, abs=1e-4)
    assert proof["swap"].p == pytest.approx(1 / 51)
    assert proof.off_target[0].moved_frac < 0.02 < 0.05 < proof.off_target[0].random_frac
    assert "add p = 0.020" in proof.rules["causal"] and "majority 0.500" in repr(proof)


def test_a_direction_for_everything_is_not_specific(world):
    both = given(world, torch.stack([world.used, world.other]))
    found = prove(both, world.model, world.task(), off_target=[world.other_task()])
    assert found.verdict["causal"] is True and found.verdict["specific"] is False
    assert found.off_target[0].ratio > 0.9


def test_without_off_target_tasks_specific_is_open(world):
    found = prove(given(world, world.used), world.model, world.task(), n_random=19)
    assert found.verdict == {"decodable": True, "causal": True, "specific": None}
    assert found["swap"].p_adjusted == pytest.approx(0.05)


def test_it_round_trips_and_draws(proof, tmp_path):
    text = json.dumps(proof.to_json(), allow_nan=False)
    assert Proof.from_json(json.loads(text)) == proof
    proof.save(tmp_path / "proof.svg")
    proof.save(tmp_path / "proof.json")
    assert json.loads((tmp_path / "proof.json").read_text())["verdict"]["causal"] is True
    assert len(proof.to_dataframe()) == 4
    assert "swapping" in proof._repr_html_()
    with pytest.raises(StoreError):
        Proof.from_json({"at": "L0.resid_post"})
    with pytest.raises(KeyError, match="add, erase, leace, swap"):
        proof["turn"]


def test_the_same_seed_gives_the_same_proof(world):
    found = [
        prove(given(world, world.used), world.model, world.task(), n_random=19, seed=s)
        for s in (3, 3, 4)
    ]
    assert found[0] == found[1] != found[2]


def test_found_and_proven_on_the_same_pairs(world):
    task = world.task()
    every = rz.Examples.from_task(task)
    with pytest.raises(TaskError, match="no template is free of them"):
        prove(
            given(world, world.used, origin=Origin(fitted_on=frozenset(every.identities))),
            world.model,
            task,
        )
    rows = [i for i, t in enumerate(task.templates) if t in ("filler 0", "filler 1")]
    some = rz.Examples.from_task(task.subset(rows))
    origin = Origin(fitted_on=frozenset(some.identities), groups=("filler 0", "filler 1"))
    found = prove(given(world, world.used, origin=origin), world.model, task, n_random=19)
    assert found.n_pairs == len(task) - len(rows)
    assert found.split.startswith(f"left out {len(rows)} pairs") and "filler 1" in found.split
    assert found.figure().caption.endswith("counts as no more than the largest within them).")


@pytest.mark.parametrize("position", [0, 1])
def test_a_prompt_counts_as_seen_wherever_it_was_read(world, position):
    """The direction names no token, as where the one that was read varies between examples."""
    task = world.task()
    rows = [i for i, t in enumerate(task.templates) if t == "filler 0"]
    seen = rz.Examples.from_task(task.subset(rows[:1]), position)
    direction = given(world, world.used, origin=Origin(fitted_on=frozenset(seen.identities)))
    left, said = unseen(direction, task)
    assert len(left) == len(task) - len(rows) and "filler 0" not in left.templates
    assert said.startswith(f"left out {len(rows)} pairs")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_random": 18}, OptionError, "no p is below"),
        ({"n_random": 0}, OptionError, "n_random"),
        ({"off_target": "task"}, OptionError, "is one task"),
    ],
)
def test_refusals(world, options, error, text):
    if options.get("off_target"):
        options = {"off_target": world.other_task()}
    with pytest.raises(error, match=text):
        prove(given(world, world.used), world.model, world.task(8), **options)


def test_a_task_that_the_model_does_not_do_is_refused(world):
    with pytest.raises(TaskError, match="does not tell clean from corrupt"):
        prove(given(world, world.used), world.model, world.task(8).swap().swap(answers=False))


def test_oriented_puts_one_class_on_the_clean_side():
    model = rz.load("microworld", check=False)
    task = rz.task("agreement", model, n=24)
    found = oriented(task)
    assert len({tuple(sorted(row)) for row in found.answers.tolist()}) <= 2
    assert {model.to_string([a]) for a in found.answers.flatten().tolist()} in (
        {"is", "was", "looks", "seems"},
        {"are", "were", "look", "seem"},
    )
    assert oriented(found) == found != task
    with pytest.raises(TaskError, match="two sets"):
        oriented(rz.task("negation", model, n=24))


def test_a_subspace_keeps_its_span():
    rows = torch.tensor([[1.0, 0, 0], [1.0, 1.0, 0]])
    basis = orthonormal(rows)
    assert torch.allclose(basis @ basis.T, torch.eye(2), atol=1e-6)
    assert torch.allclose(rows @ basis.T @ basis, rows, atol=1e-6)


def test_leace_leaves_no_linear_trace_of_the_coordinate(world):
    """Afterwards the coordinate covaries with nothing, and no smaller edit does that."""
    pairs = read_pairs(world.model, AT, world.task())
    erased = edited(pairs, "leace", world.used[None], world.used)[:, pairs.written].double()
    plain = pairs.values[:, pairs.written].double()
    x, y = plain.flatten(0, 1), erased.flatten(0, 1)
    z = (x - x.mean(0)) @ world.used.double()
    assert (z @ (x - x.mean(0))).abs().max() > 1 > 1e-3 > (z @ (y - y.mean(0))).abs().max()
    residual = x - torch.outer(z, z @ (x - x.mean(0)) / z.square().sum())  # least squares
    assert torch.allclose(y, residual, atol=1e-5)


def test_leace_of_the_class_is_the_eraser_of_the_class(world):
    """For the coordinates Σ⁺ (difference of means) it is the closed form of labels."""
    pairs = read_pairs(world.model, AT, world.task())
    clean, corrupt = pairs.values[:, pairs.written].double()
    fitter = LeaceFitter(clean.shape[-1], 2).update(
        torch.cat([clean, corrupt]), torch.arange(2).repeat_interleave(len(clean))
    )
    rows = torch.linalg.pinv(pairs.covariance, rtol=1e-8) @ (clean.mean(0) - corrupt.mean(0))
    basis = (rows / rows.norm()).float()[None]
    erased = edited(pairs, "leace", basis, basis[0])[:, pairs.written]
    expected = fitter.eraser(pairs.values)[:, pairs.written]
    assert torch.allclose(erased, expected, atol=1e-3)


def test_plain_text_counts(world):
    """The planted model has no text of its own; a rise of a tenth stands against specific."""
    found = prove(
        given(world, world.used), world.model, world.task(), off_target=[world.other_task()],
        n_random=19,
    )  # fmt: skip
    assert found.neutral is None and "no plain text" in found.rules["specific"]
    costly = NeutralEffect("add", 3, 0.2, (0.15, 0.25), 0.3, 0.1)
    assert replace(found, neutral=costly).verdict["specific"] is False
    assert replace(
        found, neutral=replace(costly, perplexity_up_frac=0.01, interval=(0, 0.02))
    ).verdict["specific"]


def test_forks_equal_whole_passes():
    """On microworld, at every site of the stream that is forked, one token or all."""
    model = rz.load("microworld")
    task = rz.task("negation", model, n=8)
    for at in ("L1.resid_pre@-2", "L2.resid_mid@-1", "L1.resid_post", "L3.resid_post@-1"):
        pairs = read_pairs(model, Address.parse(at), task)
        assert all(part.forks is not None for part in pairs.parts)
        whole = replace(pairs, parts=tuple(replace(part, forks=None) for part in pairs.parts))
        basis = torch.nn.functional.normalize(pairs.at_read[0, :1] - pairs.at_read[1, :1])
        for kind in ("add", "leace", "swap"):
            fast, slow = (
                effects(model, each, kind, [basis], [5 * basis[0]]) for each in (pairs, whole)
            )
            assert slow.abs().max() > 0.01
            assert torch.allclose(fast, slow, atol=1e-4)


def test_only_what_stands_above_the_variance_within_sides_is_levelled():
    generator = torch.Generator().manual_seed(0)
    clean, corrupt = torch.randn(2, 400, 3, generator=generator).double() * torch.tensor([2, 1, 1])
    rows = torch.cat([clean, corrupt])
    assert torch.allclose(levelled(clean, corrupt), rows - rows.mean(dim=0))
    far = torch.tensor([0.0, 7.0, 0.0])
    spread = levelled(clean + far, corrupt - far).std(dim=0, correction=0)
    assert torch.allclose(spread, torch.tensor([2.0, 5**0.5, 1.0]).double(), atol=0.15)
    same = clean[:1].expand(3, -1)
    assert torch.equal(levelled(same + far, same)[0], far.double() / 2)


def test_what_is_no_direction_is_refused(world):
    wrong: Any = "x"
    with pytest.raises(OptionError, match="is no direction"):
        rz.prove(wrong, world.model, world.task(8))
    number: Any = 3
    with pytest.raises(OptionError, match="at=3 is no site"):
        rz.direction(world.model, world.task(8), at=number)
    lone = rz.Examples.from_task(world.task(8)).subset(torch.arange(8))
    with pytest.raises(TaskError, match="got examples of 1"):
        rz.direction(world.model, lone, at=AT, prove=False)


def test_a_rule_that_cannot_be_asked_is_not_passed() -> None:
    world = rz.load("microworld", check=False)
    train, held = rz.by_template(rz.task("refusal", world, n=60), "teach")
    found = rz.direction(world, train, at="L2.resid_post@-1", prove=False)
    proof = rz.prove(found, world, held, n_random=19)
    assert proof.verdict["decodable"] is None
    assert "not decided: one template" in proof.rules["decodable"]
    assert proof.verdict["causal"] in (None, False)
    assert "p = 0.050 is the smallest there can be" in proof.rules["causal"]
    few = replace(proof, alpha=1.0)
    assert few.verdict["causal"] is None and "not decided" in few.rules["causal"]


def test_a_share_stands_before_an_interval_in_shares() -> None:
    world = rz.load("microworld", check=False)
    fit, held = rz.template_halves(rz.task("refusal", world, n=60))
    found = rz.direction(world, fit, at="L2.resid_post@-1", prove=False)
    proof = rz.prove(found, world, held, n_random=50)
    swap, gap = proof["swap"], proof["swap"].effect / proof["swap"].recovered_frac
    low, high = (end / gap for end in swap.interval)
    assert f"swap {swap.recovered_frac:.2f}, [{low:.2f}, {high:.2f}]" in proof.rules["causal"]
    assert "smallest there can be" not in proof.rules["causal"]
