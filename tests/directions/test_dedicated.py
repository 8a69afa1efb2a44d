"""A learned direction spares other tasks; gradients through a fork are those of the whole model."""

from __future__ import annotations

import pytest
import torch
from planted import planted

import residuum as rz
from residuum.core import Address, OptionError, ShapeError
from residuum.directions.fork_gradients import answers_with_gradients
from residuum.directions.interventions import answers_after, read_pairs
from residuum.directions.methods.dedicated import Dedicated
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.from_weights import Given
from residuum.directions.methods.principal_components import PrincipalComponents
from residuum.directions.methods.sparing import Sparing

AT = "L0.resid_post"


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    return planted()


@pytest.mark.parametrize("place", ["L1.resid_pre@-2", "L2.resid_mid@-1", "L0.resid_post"])
def test_a_fork_with_gradients_is_the_model(place):
    model = rz.load("microworld")
    pairs = read_pairs(model, Address.parse(place), rz.task("negation", model, n=8))
    nudge = 0.5 * torch.randn(
        pairs.values.shape, generator=torch.Generator().manual_seed(0)
    ) * pairs.written[None, :, :, None]  # fmt: skip
    for part in pairs.parts:
        some = torch.arange(len(part.rows)).flip(0)
        edited = (pairs.values + nudge)[:, part.rows[some], part.columns].requires_grad_()
        made = answers_with_gradients(pairs.at, part, some, edited[None])[0]
        true = answers_after(model, pairs, [pairs.values + nudge])[0][:, part.rows[some]]
        assert torch.allclose(made, true, atol=1e-4)
        gradient = torch.autograd.grad(made.sum(), edited)[0]
        step = 1e-2 * gradient / gradient.norm()
        ends = [
            answers_with_gradients(pairs.at, part, some, (edited + sign * step)[None]).sum()
            for sign in (1, -1)
        ]
        assert (ends[0] - ends[1]).item() == pytest.approx(0.02 * float(gradient.norm()), rel=0.02)


def test_what_another_task_follows_is_unlearned(world):
    """Started halfway between its own direction and another task's, and held there a little."""
    task, spared = world.task(decoyed=False), world.other_task()
    method = Given(world.used + world.other)
    cosines = {}
    for weight in (0.0, 3.0):
        learned = Dedicated([spared], weight, pull=2.0, method=method, steps=60, rate=0.05)
        found = rz.direction(world.model, task, at=AT, method=learned, prove=False)
        cosines[weight] = abs(float(found.cosine(world.other)))
    print(cosines)
    assert cosines[3.0] < 0.5 * cosines[0.0]
    kept = rz.direction(
        world.model, task, at=AT, prove=False,
        method=Dedicated([spared], 3.0, pull=100.0, method=method, steps=20),
    )  # fmt: skip
    assert kept.cosine(world.used + world.other) > 0.98


def test_it_repeats_and_says_what_it_is(world):
    task, method = world.task(24), Dedicated([world.other_task()], steps=5)
    found = [rz.direction(world.model, task, at=AT, method=method, prove=False) for _ in "ab"]
    assert torch.equal(found[0].vector, found[1].vector)
    assert "weight=1" in found[0].method and "other" in found[0].method
    with pytest.raises(OptionError, match="no tasks to spare"):
        Dedicated([])
    with pytest.raises(OptionError, match="weight=-1"):
        Dedicated([task], -1)
    several = Dedicated([world.other_task()], method=PrincipalComponents(2))
    with pytest.raises(ShapeError, match="finds 2 vectors, and one is learned"):
        rz.direction(world.model, task, at=AT, method=several, prove=False)


def test_sparing_takes_the_other_tasks_gradient_out(world):
    """The planted gradient of the other task is its direction itself."""
    task, spared = world.task(decoyed=False), world.other_task()
    mixed = Given(world.used + world.other)
    before = rz.direction(world.model, task, at=AT, method=mixed, prove=False)
    after = rz.direction(
        world.model, task, at=AT, method=Sparing([spared], method=mixed), prove=False
    )
    assert before.cosine(world.other) == pytest.approx(2**-0.5, abs=1e-4)
    assert abs(after.cosine(world.other)) < 1e-4 < 0.99 < after.cosine(world.used)
    rows = torch.tensor(after.notes["spared"])
    assert rows.shape == (1, len(world.other)) and abs(rows[0] @ world.other) > 0.999
    with pytest.raises(ShapeError, match="nothing is left"):
        only = Sparing([spared], method=Given(world.other))
        rz.direction(world.model, task, at=AT, method=only, prove=False)
    with pytest.raises(OptionError, match="no tasks to spare"):
        Sparing([], method=DifferenceOfMeans())
