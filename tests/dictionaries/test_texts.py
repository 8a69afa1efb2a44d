"""Texts from everything that people have them in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from residuum.core import StoreError, TokenError
from residuum.dictionaries.harvests.texts import documents_of

TEXTS = ["Mary went .", "John gave a drink ."]


class Dataset:
    """The face of ``datasets.Dataset`` that is used: rows with columns."""

    column_names = ("text", "id")

    def __iter__(self) -> Any:
        return iter({"text": text, "id": i} for i, text in enumerate(TEXTS))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_form_gives_the_same_texts(tmp_path: Path) -> None:
    rows = [{"text": text} for text in TEXTS]
    lines = "".join(json.dumps(row) + "\n\n" for row in rows)
    forms: list[Any] = [
        TEXTS, tuple(TEXTS), iter(TEXTS), Dataset(), rows,
        written(tmp_path / "a.txt", "\n".join(TEXTS)),
        written(tmp_path / "a.json", json.dumps(TEXTS)),
        str(written(tmp_path / "b.json", json.dumps(rows))),
        str(written(tmp_path / "a.jsonl", lines)),
    ]  # fmt: skip
    for form in forms:
        assert list(documents_of(form, "text")) == TEXTS
    assert list(documents_of(TEXTS[0], "text")) == TEXTS[:1]


@pytest.mark.parametrize(
    "form", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 4]]),
             [torch.tensor([1, 2]), np.array([3, 4])], [{"text": [1, 2]}, {"text": [3, 4]}]],
)  # fmt: skip
def test_rows_of_token_ids_are_texts_too(form: Any) -> None:
    assert [row.tolist() for row in documents_of(form, "text")] == [[1, 2], [3, 4]]  # type: ignore


def test_one_row_of_ids_is_one_text() -> None:
    assert [len(row) for row in documents_of([1, 2, 3], "text")] == [3]


def test_a_stream_is_read_no_further_than_asked() -> None:
    def endless() -> Any:
        while True:
            yield "a"

    stream = documents_of(endless(), "text")
    assert [next(stream) for _ in range(3)] == ["a"] * 3


@pytest.mark.parametrize(
    ("given", "what", "mend"),
    [
        ({"train": TEXTS}, "dictionary with the keys 'train'", 'data["train"]'),
        ([{"body": "a"}], "row 0 of the text has no column 'text'", "it has: body"),
        (3, "cannot read text from text=3", "give texts"),
        (b"abc", "cannot read text from", "give texts"),
        (["a", None], "row 1 of the text is neither text nor token ids", "column="),
        ([[0.5]], "row 0 of the text is neither", "column="),
        (torch.ones(2, 2), "row 0 of the text is neither", "column="),
    ],
)
def test_what_is_no_text_is_refused(given: Any, what: str, mend: str) -> None:
    with pytest.raises(TokenError, match=what) as error:
        list(documents_of(given, "text"))
    assert mend in error.value.mend


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.json", b"{", "the file is no JSON"),
        ("a.jsonl", b'"a"\n{\n', "line 2 is no JSON"),
        ("a.txt", b"\xff\xfe", "it is not UTF-8"),
        ("a.csv", b"", r"ends in \.txt, \.json, \.jsonl, not \.csv"),
        ("a.txt", None, "No such file"),
    ],
)
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=what) as error:
        list(documents_of(path, "text"))
    assert error.value.where == str(path) and error.value.mend
