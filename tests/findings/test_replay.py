"""Replay: the same numbers again; a difference, an edit, another model and other data are found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, StoreError, content_hash
from residuum.findings import Finding
from residuum.findings.chain.further import FURTHER
from residuum.findings.replaying.replay import NOT_COMPARED
from residuum.runs import Model


def rewritten(folder: Path, out: Path, change: Callable[[Any], None], *, hashed: bool) -> Path:
    """The finding changed by hand, with or without a hash that fits."""
    data = json.loads((folder / "finding.json").read_text())
    change(data["finding"])
    if hashed:
        data["hash"] = content_hash(data["finding"])
    path = out / "finding.json"
    path.write_text(json.dumps(data))
    return path


def one_number(finding: Any) -> None:
    finding["parts"]["named"][0]["patch"]["value"] += 0.5


def test_replay_agrees(folder: Path) -> None:
    result = rz.replay(folder / "finding.json")
    assert result.agrees and result.numbers > 500 and result.worst < 1
    assert result.found.claim == result.recorded.claim


def test_evidence_of_every_stage_is_compared() -> None:
    names = {each.name for each in fields(Finding)}
    assert set(NOT_COMPARED) < names
    evidence = {each.name for each in FURTHER} | {
        "behaviour",
        "where",
        "parts",
        "rules",
        "transfer",
    }
    assert evidence <= names - set(NOT_COMPARED)


def test_a_second_process_finds_the_same(folder: Path) -> None:
    command = [sys.executable, "-m", "residuum", "replay", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["agrees"] and said["status_found"] == "supported" and not said["differences"]


def test_a_changed_number_is_found(folder: Path, tmp_path: Path, model: Model) -> None:
    result = rz.replay(rewritten(folder, tmp_path, one_number, hashed=True), model, check=False)
    assert len(result.differences) == 1 and not result.agrees
    with pytest.raises(CheckFailed) as caught:
        result.check()
    assert "parts.named[0].patch.value" in caught.value.what


def test_an_edited_file_is_refused_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    """No model is loaded for it: the one that the file names is not there."""

    def change(finding: Any) -> None:
        finding["claim"] += " For sure."
        finding["provenance"]["model_id"] = "/nowhere"

    path = rewritten(folder, tmp_path, change, hashed=False)
    with pytest.raises(CheckFailed, match="changed after it was written") as caught:
        rz.replay(path)
    assert caught.value.where == str(path)


def test_an_edited_file_is_told_of_where_nothing_is_to_be_raised(
    folder: Path, tmp_path: Path, model: Model
) -> None:
    path = rewritten(folder, tmp_path, lambda f: f.update(claim="Surely."), hashed=False)
    result = rz.replay(path, model, check=False)
    assert not result.differences and not result.unchanged and not result.agrees


def test_other_weights_are_refused(
    folder: Path, tmp_path: Path, random_folder: Path, random_model: Model
) -> None:
    def elsewhere(finding: Any) -> None:
        finding["provenance"]["model_id"] = str(random_folder)

    path = rewritten(folder, tmp_path, elsewhere, hashed=True)
    for model in (None, random_model):
        with pytest.raises(LoadError, match="another model than the finding") as caught:
            rz.replay(path, model)
        assert "--transfer" in caught.value.mend


def test_another_dtype_is_refused(folder: Path) -> None:
    import torch

    double = rz.load("microworld", dtype=torch.float64, check=False)
    with pytest.raises(LoadError, match="than the finding was made with"):
        rz.replay(folder, double)


def test_other_data_are_refused(folder: Path, tmp_path: Path, model: Model) -> None:
    def other_pairs(finding: Any) -> None:
        for part in ("clean", "corrupt"):
            finding["task"][part][0], finding["task"][part][1] = (
                finding["task"][part][1],
                finding["task"][part][0],
            )

    path = rewritten(folder, tmp_path, other_pairs, hashed=True)
    with pytest.raises(StoreError, match="are not those that the finding was made with"):
        rz.replay(path, model)


def test_a_missing_model_is_said(folder: Path, tmp_path: Path) -> None:
    def gone(finding: Any) -> None:
        finding["provenance"]["model_id"] = str(tmp_path / "gone")

    path = rewritten(folder, tmp_path, gone, hashed=True)
    with pytest.raises(LoadError, match="the model of this finding") as caught:
        rz.replay(path)
    assert "--model" in caught.value.mend and "\n" not in str(caught.value.what)
