"""Replay: the same numbers again, and a difference is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, content_hash
from residuum.runs import Model


def tampered(folder: Path, out: Path, *, hashed: bool) -> Path:
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["parts"]["named"][0]["patch"]["value"] += 0.5
    if hashed:
        data["hash"] = content_hash(data["finding"])
    path = out / "finding.json"
    path.write_text(json.dumps(data))
    return path


def test_replay_agrees(folder: Path) -> None:
    result = rz.replay(folder / "finding.json")
    assert result.agrees and result.numbers > 500 and result.worst < 1
    assert result.found.claim == result.recorded.claim


def test_a_changed_number_is_found(folder: Path, tmp_path: Path, model: Model) -> None:
    with pytest.raises(CheckFailed) as caught:
        rz.replay(tampered(folder, tmp_path, hashed=True), model)
    assert "parts.named[0].patch.value" in caught.value.what
    result = rz.replay(tmp_path, model, check=False)
    assert len(result.differences) == 1 and not result.agrees


def test_an_edited_text_is_found(folder: Path, tmp_path: Path, model: Model) -> None:
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["claim"] += " For sure."
    (tmp_path / "finding.json").write_text(json.dumps(data))
    with pytest.raises(CheckFailed, match="changed after it was written"):
        rz.replay(tmp_path, model)


def test_other_weights_are_refused(folder: Path, tmp_path: Path, random_folder: Path) -> None:
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["provenance"]["model_id"] = str(random_folder)
    data["hash"] = content_hash(data["finding"])
    (tmp_path / "finding.json").write_text(json.dumps(data))
    with pytest.raises(LoadError, match="other weights") as caught:
        rz.replay(tmp_path)
    assert "--model" in caught.value.mend
    with pytest.raises(CheckFailed, match="not reproduced"):
        rz.replay(tmp_path, rz.load(str(random_folder)))
