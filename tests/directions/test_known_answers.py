"""Planted directions are found and proven; a decoy and random labels are not called causal."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import YES, planted

import residuum as rz
from residuum.core import Address
from residuum.directions.interventions import read_pairs
from residuum.directions.proving import prove

AT = "L0.resid_post"
TRIES, ALPHA = 100, 0.05
ACCEPTED = 10
"""Of 100 tries at 5 %: more come in less than 2 % of runs. It is 1; it was 19 where the null left
out all variance between the two sides, and 1 where it had all of it."""


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    return planted()


def found_by(world, which: str) -> rz.Direction:
    """The direction of one planted sign, from every word once."""
    column = ("used", "decoy", "other").index(which)
    examples = world.examples(world.signs[:, column].tolist())
    return rz.direction(world.model, examples, at=AT, prove=False)


def test_planted_directions_are_found(world):
    for which in ("used", "decoy", "other"):
        found = found_by(world, which)
        assert abs(found.cosine(getattr(world, which))) > 0.98


def test_the_used_one_is_causal_and_the_decoy_is_only_decodable(world):
    """On one task, in which both tell the sides apart perfectly."""
    task, verdicts = world.task(seed=7), {}
    for which in ("used", "decoy"):
        proof = prove(
            found_by(world, which), world.model, task, off_target=[world.other_task()], seed=1
        )
        assert proof.decodability.accuracy == 1
        verdicts[which] = proof.verdict
    assert verdicts["used"] == {"decodable": True, "causal": True, "specific": True}
    assert verdicts["decoy"] == {"decodable": True, "causal": False, "specific": False}


def test_a_concept_that_is_nearly_all_that_varies_can_be_causal():
    """The used sign makes 99 % of the variance: most random directions are it over again.

    Against draws of the whole covariance the swap would lie below the 95th percentile, and the
    direction be called not causal.
    """
    world = planted(strength=(8.0, 0.5, 0.5), noise=0.1)
    task, found = world.task(seed=7, decoyed=False), found_by(world, "used")
    tilted = replace(found, vector=world.used + 0.2 * world.decoy)
    held = read_pairs(world.model, Address.parse(AT), task).at_read.flatten(0, 1)
    spread = (held - held.mean(dim=0)).square().sum()
    assert float(((held - held.mean(dim=0)) @ world.used).square().sum() / spread) > 0.985
    proof = prove(tilted, world.model, task, seed=1)
    swap = proof["swap"]
    assert swap.random_high < 0.6 * swap.effect < swap.effect < swap.unlevelled_high
    assert proof.verdict["causal"] is True
    assert prove(found_by(world, "decoy"), world.model, task, seed=1).verdict["causal"] is False


def called_causal(world, tries: int, n_random: int) -> int:
    """How many directions found on labels drawn at random a proof on the real task calls causal."""
    causal = 0
    for seed in range(tries):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(2, (len(world.signs),), generator=generator).tolist()
        found = rz.direction(world.model, world.examples(labels), at=AT, prove=False, seed=seed)
        task = world.task(24, seed=1000 + seed)
        proof = prove(found, world.model, task, n_random=n_random, seed=seed)
        assert proof.alpha == ALPHA
        causal += proof.verdict["causal"] is True
    return causal


def test_few_random_labels_are_causal(world):
    """At 5 %, three or more of ten come in about 1 % of runs."""
    assert called_causal(world, 10, 19) <= 2


@pytest.mark.slow
def test_random_labels_are_causal_at_most_at_the_stated_rate(world):
    causal = called_causal(world, TRIES, 50)
    print(f"{causal} of {TRIES} random labellings called causal")
    assert causal <= ACCEPTED


def test_the_task_can_be_done(world):
    last = world.model.run(world.task(12).clean).last
    assert (last[:, YES] > 0).all()
