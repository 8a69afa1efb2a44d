"""The controller reaches its goal from far away on either side, and never sticks."""

from __future__ import annotations

import math

import pytest
import torch

import residuum.dictionaries as rd
from residuum.core import OptionError
from residuum.dictionaries.training import state
from residuum.dictionaries.training.optimisers import Fitter
from residuum.dictionaries.training.target_l0 import L0Controller


def settled(goal: float, start: float, slope: float = 0.5, lag: float = 0.02) -> list[float]:
    """L0 over the steps of a coder whose log L0 follows the log coefficient slowly."""
    controller, log_l0, found = (
        L0Controller(rd.TargetL0(goal, start=start, rate=0.02), 3000),
        math.log(256),
        [],
    )
    for _ in range(3000):
        aim = min(math.log(256), math.log(30) - slope * math.log(controller.coefficient))
        log_l0 += lag * (aim - log_l0)
        controller.observe(math.exp(log_l0))
        found.append(math.exp(log_l0))
    return found


@pytest.mark.parametrize("goal", [2.0, 8.0, 100.0])
@pytest.mark.parametrize("start", [1e-6, 1.0, 1e4])
def test_it_settles_at_its_goal_from_eight_decades(goal: float, start: float) -> None:
    tail = settled(goal, start)[-300:]
    assert max(abs(math.log(each / goal)) for each in tail) < 0.05


def test_a_coefficient_without_effect_yet_goes_on_rising() -> None:
    controller = L0Controller(rd.TargetL0(8, start=1e-6), 1000)
    for _ in range(1000):
        controller.observe(478.0)
    middle = controller.coefficient
    controller.observe(478.0)
    assert controller.coefficient > middle > 1e-3


def test_a_collapsed_coder_is_let_go() -> None:
    controller = L0Controller(rd.TargetL0(8, start=1.0), 300)
    for _ in range(300):
        controller.observe(0.0)
    assert controller.coefficient < 0.05


def test_its_state_is_exact() -> None:
    first, second = (L0Controller(rd.TargetL0(8), 100) for _ in range(2))
    first.observe(50.0)
    second.restore(first.state())
    first.observe(20.0)
    second.observe(20.0)
    assert first.state() == second.state()


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf, True, "8"])
def test_no_goal_that_cannot_be(wrong: object) -> None:
    with pytest.raises(OptionError, match="out of range"):
        rd.TargetL0(wrong)  # pyright: ignore[reportArgumentType]


def test_it_begins_where_the_penalty_is_a_small_part_of_the_error() -> None:
    controller = L0Controller(rd.TargetL0(8), 100)
    controller.begin(squared_error=120.0, penalty=60.0)
    assert controller.coefficient == pytest.approx(0.1)
    given = L0Controller(rd.TargetL0(8, start=3.0), 100)
    given.begin(squared_error=120.0, penalty=60.0)
    assert given.coefficient == 3.0


@pytest.mark.parametrize(("goal", "steps"), [(4.0, 120), (12.0, 250)])
def test_thresholds_reach_the_goal_in_a_short_training(
    goal: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = rd.SparseWorld(n_features=256, width=64, active=8, seed=5)
    rows, held = world.samples(0, 16_000)[0], world.held_out(4096)[0]
    plan = rd.CoderPlan(
        reads=("L0.resid_post",), width=64, n_latents=256, activation=rd.JumpReLU(),
        penalty=rd.L0Step(),
    )  # fmt: skip

    def reached() -> float:
        training = rd.train_dictionary(
            rd.TensorSource(rows, "L0.resid_post"), plan=plan, steps=steps, batch_size=256,
            optimiser=rd.Adam(1e-3), target_l0=goal,
        )  # fmt: skip
        return float((training.dictionary.encode(held) > 0).sum(1).double().mean())

    assert abs(math.log(reached() / goal)) < 0.25
    monkeypatch.setattr(state, "threshold_speed", lambda lr, steps: 1.0)
    assert reached() > 1.4 * goal  # thresholds that Adam alone moves come too late


def test_faster_parameters_go_further_and_their_moments_are_kept() -> None:
    def made() -> dict[str, torch.Tensor]:
        return {name: torch.zeros(2, requires_grad=True) for name in ("a", "fast", "b")}

    def steps(own: dict[str, torch.Tensor], fitter: Fitter, n: int) -> None:
        for _ in range(n):
            for each in own.values():
                each.grad = torch.tensor([1.0, -2.0])
            fitter.step(0.5)

    own = made()
    fitter = rd.Adam(0.1).fitter(own, {"fast": 3.0})
    steps(own, fitter, 1)
    assert own["fast"].tolist() == pytest.approx([-0.15, 0.15], rel=1e-5)
    assert own["a"].tolist() == own["b"].tolist() == pytest.approx([-0.05, 0.05], rel=1e-5)
    other = {name: each.detach().clone().requires_grad_() for name, each in own.items()}
    resumed = rd.Adam(0.1).fitter(other, {"fast": 3.0})
    resumed.restore(fitter.state())
    steps(own, fitter, 2)
    steps(other, resumed, 2)
    assert all(torch.equal(own[name], other[name]) for name in own)
