"""The chain says which stage of how many it is at, and how long all of it will take yet."""

from __future__ import annotations

import pytest

import residuum as rz
from residuum.findings.chain.whole_progress import WEIGHTS, Whole, in_words
from residuum.runs import Model


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, stage: str, total: int) -> None:
        self.heard.append(stage)

    def advance(self, steps: int = 1) -> None: ...

    def finish(self) -> None: ...


def test_time_left_follows_what_was_measured() -> None:
    now, listener = [0.0], Listener()
    whole = Whole(listener, ["behaviour", "where", "parts"], clock=lambda: now[0])
    whole.stage("behaviour").start("passes", 2)
    assert listener.heard == ["1/3 passes"]
    now[0] += 10 * WEIGHTS["behaviour"]
    whole.finished("behaviour")
    stage = whole.stage("where")
    assert whole.left() == pytest.approx(10 * (WEIGHTS["where"] + WEIGHTS["parts"]))
    now[0] += 5 * WEIGHTS["where"]
    stage.start("patching z", 3)
    left = 5 * WEIGHTS["where"] + 10 * WEIGHTS["parts"]
    assert listener.heard[-1] == f"2/3 patching z (in all about {in_words(left)} left)"


def test_a_stage_that_was_kept_says_nothing_about_speed() -> None:
    whole = Whole(Listener(), ["lens", "parts"], clock=lambda: 0.0)
    whole.stage("lens")
    whole.finished("lens", reused=True)
    whole.stage("parts")
    assert whole.left() is None


def test_every_stage_of_a_chain_is_numbered(model: Model) -> None:
    listener = Listener()
    rz.investigate(model, rz.task("ioi", model, n=16), progress=listener, stages=())
    numbers = [int(each.split("/")[0]) for each in listener.heard]
    assert numbers == sorted(numbers) and set(numbers) == {1, 2, 3, 4, 5}
    assert all("/5 " in each for each in listener.heard)
    assert "in all about" in listener.heard[-1] and "in all about" not in listener.heard[0]
