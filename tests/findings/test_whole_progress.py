"""The chain says which stage of how many it is at, and how long all of it will take yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from known_halves import permuted_letters

import residuum as rz
from residuum.core import track
from residuum.findings.chain.whole_progress import WEIGHTS, Whole, in_words
from residuum.runs import Model


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.counts: list[list[int]] = []
        self.open = False

    def start(self, stage: str, total: int) -> None:
        assert not self.open, f"{stage} begins within {self.heard[-1]}"
        self.open = True
        self.heard.append(stage)
        self.counts.append([0, total])

    def advance(self, steps: int = 1) -> None:
        self.counts[-1][0] += steps

    def finish(self) -> None:
        self.open = False


def test_time_left_follows_what_was_measured() -> None:
    now, listener = [0.0], Listener()
    whole = Whole(listener, ["behaviour", "where", "parts"], clock=lambda: now[0])
    first = whole.stage("behaviour")
    first.start("passes", 2)
    first.finish()
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


def test_a_part_within_a_part_is_a_step_of_it() -> None:
    listener = Listener()
    stage = Whole(listener, ["robustness"], clock=lambda: 0.0).stage("robustness")
    for _ in track(range(3), stage, "other halves", 3):
        for _ in track(range(2), stage, "patching z", 2):
            pass
    for _ in track((), stage, "other tasks", 0):
        pass
    for _ in track(range(2), stage, "templates", 2):
        pass
    assert listener.heard == ["1/1 other halves", "1/1 templates"]
    assert listener.counts == [[3, 3], [2, 2]]


def test_no_count_of_a_whole_chain_misses_its_total(test_data: Path) -> None:
    listener = Listener()
    rz.investigate(rz.load(test_data / "gbmi_indhead"), permuted_letters(), progress=listener)
    assert any("other halves" in each for each in listener.heard)
    told = zip(listener.heard, listener.counts, strict=True)
    assert not [each for each, (done, total) in told if done != total]
    assert not listener.open


def test_every_stage_of_a_chain_is_numbered(model: Model) -> None:
    listener = Listener()
    rz.investigate(model, rz.task("ioi", model, n=16), progress=listener, stages=())
    numbers = [int(each.split("/")[0]) for each in listener.heard]
    assert numbers == sorted(numbers) and set(numbers) == {1, 2, 3, 4, 5}
    assert all("/5 " in each for each in listener.heard)
    assert "in all about" in listener.heard[-1] and "in all about" not in listener.heard[0]
