"""Bad input: one line what, one line mend, and nothing half-written. And nulls that say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.apps.cli.main import main
from residuum.findings import Finding
from residuum.runs import Model

START = "When Mary and John went to the store ,"
PAIR = (f"{START} Mary gave a drink to", f"{START} John gave a drink to")


def refused(capsys: pytest.CaptureFixture[str], what: str, *arguments: str, code: int = 2) -> None:
    assert main(list(arguments)) == code
    caught = capsys.readouterr()
    lines = [line for line in caught.err.splitlines() if "Loading weights" not in line]
    assert what in lines[-2] and lines[-1].strip().startswith("mend: ") and not caught.out


def csv(path: Path, answer: str, rows: int) -> str:
    line = f'"{PAIR[0]}","{PAIR[1]}",{answer},Mary\n'
    path.write_text("clean,corrupt,answer,wrong\n" + line * rows)
    return str(path)


def asked(task: str, out: Path, model: str = "microworld") -> list[str]:
    return ["investigate", "--model", model, "--task", task, "--out", str(out)]


def test_answers_of_several_tokens(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    task = csv(tmp_path / "t.csv", "John Mary", 12)
    refused(capsys, "John Mary", *asked(task, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_too_few_pairs(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Model) -> None:
    task = tmp_path / "t.json"
    rz.task("ioi", model, n=4, seed=0).save(task)
    with pytest.raises(rz.TaskError, match=r"^4 pairs are too few"):
        rz.investigate(model, rz.Task.load(task))
    repeated = csv(tmp_path / "t.csv", "John", 4)
    refused(capsys, "4 pairs, 1 of them different, are too few", *asked(repeated, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_pairs_that_are_there_twice_count_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Model
) -> None:
    task = csv(tmp_path / "t.csv", "John", 16)
    refused(capsys, "16 pairs, 1 of them different, are too few", *asked(task, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    ten = rz.task("ioi", model, n=10, seed=0)
    found = rz.investigate(model, ten.subset(list(range(10)) * 3), stages=())
    assert "measured on 5 others" in found.scope[1] and "(30 were given" in found.scope[1]


def test_a_missing_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    refused(capsys, "no model folder", *asked("ioi", tmp_path / "out", str(tmp_path / "none")))
    assert not (tmp_path / "out").exists()


def test_no_such_stage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [*asked("ioi", tmp_path / "out"), "--stages", "magic"]
    refused(capsys, "no further stage 'magic'", *arguments)
    assert not (tmp_path / "out").exists()


def test_a_finding_edited_by_hand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> None:
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["status"] = "undecided"
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(data))
    arguments = ["examine", *asked("ioi", tmp_path / "out")[1:], "--finding", str(edited)]
    refused(capsys, "changed after it was written", *arguments, code=1)
    assert not (tmp_path / "out").exists()


def test_a_behaviour_that_is_absent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, random_folder: Path
) -> None:
    assert main(asked("ioi", tmp_path, str(random_folder))) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("NOT SUPPORTED: On 32 held-out ioi prompts")
    assert "so no mechanism found" in said and "mend: look at the pairs" in said
    assert Finding.load(tmp_path).components == ()


def test_shuffled_labels_have_no_mechanism(model: Model) -> None:
    """Right and wrong answers exchanged by a coin: the model does not prefer what is drawn."""
    task = rz.task("ioi", model, n=64)
    coin = torch.rand(len(task), generator=torch.Generator().manual_seed(0)) < 0.5
    answers = torch.where(coin[:, None], task.answers, task.wrong)
    wrong = torch.where(coin[:, None], task.wrong, task.answers)
    found = rz.investigate(model, replace(task, answers=answers, wrong=wrong))
    assert found.status == "not supported" and "no mechanism found" in found.claim


def test_a_behaviour_whose_parts_are_not_found_says_so(model: Model) -> None:
    """One weak head named and no other: the search found no mechanism, in these words."""
    from residuum.findings.chain.bench import Bench
    from residuum.findings.chain.claim import Told, verdict
    from residuum.findings.record.mechanism import Mechanism

    found = rz.examine(model, rz.task("ioi", model, n=16), ["L0.z[H7]"], stages=())
    bench = Bench(model, rz.Task.from_json(found.task)[1::2])
    searched = Mechanism("components", "found", found.components)
    told = Told(bench, searched, found.behaviour, found.rules, found.status)
    assert found.status == "not supported" and "as stated" in found.claim
    assert "no mechanism found for microworld's answer" in verdict(told, "numbers")
