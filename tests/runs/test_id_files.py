"""Pairs of token ids in a file: read without a tokenizer, refused row by row; saved tasks too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.core import TaskError
from residuum.runs.task_files import is_task_file, task_in

ROW = {"clean": [5, 6, 7], "corrupt": [5, 9, 7], "answers": [6], "wrong": [9]}


def write(path: Path, *rows: Any) -> Path:
    lines = [json.dumps({**ROW, **row}) for row in rows]
    path.write_text("[" + ",".join(lines) + "]" if path.suffix == ".json" else "\n".join(lines))
    return path


@pytest.fixture(scope="module")
def model(test_data: Path) -> rz.Model:
    return rz.load(test_data / "gbmi_indhead")


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_ids_need_no_tokenizer(model: rz.Model, tmp_path: Path, name: str) -> None:
    more = {"clean": [1, 2], "corrupt": [3, 2], "answers": 4, "wrong": [3, 5], "template": "short"}
    task = rz.Task.from_pairs(write(tmp_path / name, {"template": ""}, more), model)
    assert task.name == "t" and task.metric == "logit_diff" and task.source.endswith(name)
    assert task.clean.tolist() == [[5, 6, 7], [1, 2, 0]] and task.lengths.tolist() == [3, 2]
    assert task.answers.tolist() == [[6], [4]] and task.wrong.tolist() == [[9, -1], [3, 5]]
    assert task.templates == ("", "short")
    assert rz.Task.from_pairs(tmp_path / name) == task  # not even a model


def test_names_of_columns_positions_and_no_wrong_answers(tmp_path: Path) -> None:
    row = {"x": [5, 6], "corrupted": [4, 6], "answer": 3, "positions": {"S": 0}}
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(row))
    task = rz.Task.from_pairs(file, columns={"clean": "x"})
    assert task.metric == "prob" and task.positions["S"].tolist() == [0]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"clean": "Mary went"}, "row 2: clean is no list of token ids: 'Mary went'"),
        ({"answers": ["Mary"]}, "row 2: answers is no list of token ids"),
        ({"answers": [True]}, "answers is no list of token ids"),
        ({"wrong": None}, "wrong is no list of token ids: 'None'"),
        ({"answers": []}, "row 2: no answer"),
        ({"clean": [5, 26, 7]}, "token id 26 is outside the vocabulary of 26"),
        ({"clean": [5, -1, 7]}, "token id -1 is negative"),
        ({"clean": [5, 6]}, "clean has 2 tokens, corrupt 3"),
        ({"clean": [1] * 9, "corrupt": [2] * 9}, "9 tokens in a context of 8"),
        ({"positions": [1]}, "positions are names with token positions"),
        ({"positions": {"S": 3}}, "named position lies outside"),
    ],
)
def test_rows_that_do_not_fit(
    model: rz.Model, tmp_path: Path, row: dict[str, Any], what: str
) -> None:
    file = write(tmp_path / "t.jsonl", {}, row)
    with pytest.raises(TaskError, match="1 of 2 pairs do not fit") as caught:
        rz.Task.from_pairs(file, model)
    assert what in caught.value.what and "mend these rows" in caught.value.mend
    assert len(rz.Task.from_pairs(file, model, skip_misfits=True)) == 1


def test_words_for_a_model_without_a_tokenizer(model: rz.Model, tmp_path: Path) -> None:
    words = {"clean": "a b", "corrupt": "c b", "answers": ["a"], "wrong": ["c"]}
    with pytest.raises(TaskError, match="has no tokenizer") as caught:
        rz.Task.from_pairs(write(tmp_path / "t.jsonl", words, words), model)
    assert caught.value.mend.startswith("give token ids: JSONL with clean, corrupt and answers")


def test_a_saved_task_is_a_task_file(model: rz.Model, tmp_path: Path) -> None:
    rows = torch.tensor([[1, 2], [3, 4]])
    task = rz.Task.from_pairs(clean=rows, corrupt=rows.flip(0), answers=[5, 6], wrong=[6, 5],
                              metric="prob_diff", name="kept")  # fmt: skip
    file = task.save(tmp_path / "t.json")
    assert task_in(file, model) == task
    assert task_in(file, model, "logit_diff") == replace(task, metric="logit_diff")
    assert is_task_file("a.JSON") and not is_task_file("ioi")
    replace(task, clean=rows + 25).save(tmp_path / "far.json")
    with pytest.raises(TaskError, match="outside the vocabulary of 26"):
        task_in(tmp_path / "far.json", model)
    with pytest.raises(TaskError, match="no file"):
        task_in(tmp_path / "none.json", model)
