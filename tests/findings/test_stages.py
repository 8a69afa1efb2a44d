"""Finished stages are kept: an interrupted investigation goes on, and nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import residuum as rz
from residuum.findings import Finding
from residuum.findings.chain import course
from residuum.findings.chain.stages import Stages
from residuum.findings.record.evidence import Estimate
from residuum.runs import Model


class Killed(BaseException):
    """Stands for Ctrl-C."""


def test_goes_on_after_a_kill(
    model: Model, finding: Finding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(course, "where", killed)
    with pytest.raises(Killed):
        rz.investigate(model, "ioi", out=tmp_path, stages=())
    monkeypatch.undo()
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / ".stages").iterdir())
    assert kept == ["behaviour", "lens"]
    monkeypatch.setattr(course, "behaviour", killed)
    monkeypatch.setattr(course, "lens", killed)
    assert rz.investigate(model, "ioi", out=tmp_path, stages=()).claim == finding.claim
    monkeypatch.setattr(course, "where", killed)
    monkeypatch.setattr(course, "parts", killed)
    assert rz.investigate(model, "ioi", out=tmp_path, stages=()) == finding


def test_other_inputs_are_other_stages(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> Estimate:
        calls.append(1)
        return Estimate(float(len(calls)), 0.0, 1.0, 3)

    first = Stages(tmp_path, {"seed": 0}).run("s", Estimate, compute)
    assert Stages(tmp_path, {"seed": 0}).run("s", Estimate, compute) == first
    assert Stages(tmp_path, {"seed": 1}).run("s", Estimate, compute).value == 2.0
    assert Stages(None, {"seed": 0}).run("s", Estimate, compute).value == 3.0


def test_a_damaged_stage_is_computed_again(tmp_path: Path) -> None:
    stages = Stages(tmp_path, {})
    stages.run("s", Estimate, lambda: Estimate(1.0, 0.0, 2.0, 3))
    (path,) = (tmp_path / ".stages").iterdir()
    for damage in ("{", '{"inputs": {"stage": "s"}, "result": {"value": 1}}', "[]"):
        path.write_text(damage)
        assert stages.run("s", Estimate, lambda: Estimate(2.0, 0.0, 2.0, 3)).value == 2.0
