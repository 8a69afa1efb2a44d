"""Replay: the same numbers again; a difference, an edit, another model and other data are found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, StoreError, content_hash
from residuum.findings import Finding
from residuum.findings.chain.further import FURTHER
from residuum.findings.replaying import replay as again
from residuum.findings.replaying.replay import SENTENCES, TAKEN
from residuum.findings.replaying.wording import other_words, same_words
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
    assert {*SENTENCES, *TAKEN} < names
    evidence = {each.name for each in FURTHER} | {
        "behaviour",
        "where",
        "parts",
        "rules",
        "transfer",
    }
    assert evidence <= names - {*SENTENCES, *TAKEN}


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
    assert [each.where for each in result.differences] == ["claim"]
    assert not result.unchanged and not result.agrees


def test_sentences_are_compared(
    folder: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, finding: Finding
) -> None:
    """A file whose hash was made anew: what it says must still be what comes out."""
    monkeypatch.setattr(again, "_again", lambda *_: finding)

    def edit(where: str, change: Callable[[str], str]) -> Callable[[Any], None]:
        def changed(data: Any) -> None:
            name, _, rest = where.partition("[")
            if not rest:
                data[name] = change(data[name])
                return
            index, _, field = rest.partition("].")
            spot = int(index.rstrip("]"))
            if field:
                data[name][spot][field] = change(data[name][spot][field])
            else:
                data[name][spot] = change(data[name][spot])

        return changed

    enough = [rule.name for rule in finding.rules].index("Enough")
    for where, change in (
        ("claim", lambda _: "nonsense"),
        ("claim", lambda text: text.replace("depends", "does not depend")),
        ("claim", lambda text: text.replace("On 32", "On 33")),
        ("claim", lambda text: text.replace("regains 99 %", "regains 92 %")),
        ("falsifier", lambda text: text.replace("less than 30 %", "less than 31 %")),
        ("intervention", lambda text: text + " Twice."),
        ("rules[0].demands", lambda text: text.replace("above", "below")),
        (f"rules[{enough}].found", lambda text: text.replace("9", "4")),
        ("scope[1]", lambda text: text.replace("ioi", "oioi")),
        ("limits[0]", lambda text: "None."),
    ):
        path = rewritten(folder, tmp_path, edit(where, change), hashed=True)
        result = rz.replay(path, model, check=False)
        assert [each.where for each in result.differences] == [where], where
        with pytest.raises(CheckFailed, match="the first is"):
            rz.replay(path, model)


def test_the_last_digit_of_a_number_in_a_sentence_may_differ(finding: Finding) -> None:
    claim = finding.claim.replace("regains 99 % [98, 100]", "regains 98 % [98, 99]")
    assert claim != finding.claim
    assert not list(other_words(replace(finding, claim=claim), finding, 0.0, 0.0))
    missing = replace(finding, limits=finding.limits[1:])
    assert {where for where, *_ in other_words(missing, finding, 1e-3, 1e-3)} >= {"limits[0]"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("heads L0.H1 and L0.H5", "heads L0.H1 and L0.H6", False),
        ("the MLP of layer 3", "the MLP of layer 4", False),
        ("in 3 of 20 sets", "in 4 of 20 sets", False),
        ("62 % [51, 70]", "63 % [50, 71]", True),
        ("62 % [51, 70]", "64 % [51, 70]", False),
        ("7.10 [6.80, 7.40] logits", "7.11 [6.80, 7.40] logits", True),
        ("7.10 [6.80, 7.40] logits", "7.15 [6.80, 7.40] logits", False),
        ("joint p from 0.0012", "joint p from 0.0013", True),
        ("joint p from 1e-05", "joint p from 1e-04", False),
        ("4.1 times as much", "4.1 times as little", False),
    ],
)
def test_which_sentences_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_words(one, other) is same is same_words(other, one)


def test_a_claim_worded_by_hand_is_replayed_by_the_one_that_was_built(
    finding: Finding, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "_again", lambda *_: finding)
    worded = finding.with_claim("Four early heads tell who received it.")
    assert rz.replay(worded.save(tmp_path), model).agrees
    other = replace(worded, claim_built="It is certain.")
    result = rz.replay(other.save(tmp_path), model, check=False)
    assert [each.where for each in result.differences] == ["claim_built"]


def test_the_model_may_lie_elsewhere_now(tmp_path: Path, random_folder: Path) -> None:
    """And more pairs may have been given than were used."""
    import shutil

    here = tmp_path / "here"
    shutil.copytree(random_folder, here)
    model = rz.load(str(here))
    found = rz.investigate(model, rz.task("ioi", model, n=100), stages=())
    assert "100 were given" in found.scope[1]
    path = found.save(tmp_path / "saved")
    there = tmp_path / "there"
    here.rename(there)
    assert rz.replay(path, rz.load(str(there))).agrees


def test_what_is_called_found_is_compared_too() -> None:
    """The controls' own field of that name is a value, not a sentence."""
    compared = again._Comparison(0.0, 0.0)
    compared.take("controls", {"weights": [{"found": True}]}, {"weights": [{"found": False}]})
    assert [each.where for each in compared.differences] == ["controls.weights[0].found"]


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
