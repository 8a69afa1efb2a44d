"""Texts, one by one: from iterables, Hugging Face ``datasets``, text, JSON and JSONL files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from residuum.core import StoreError, TokenError
from residuum.runs.arguments import shown

SUFFIXES = (".txt", ".json", ".jsonl")
Document = str | np.ndarray
"""A text, or its token ids ``[token]``."""


def documents_of(given: Any, column: str) -> Iterator[Document]:
    """Texts or rows of token ids, in order, read only as far as asked for.

    Args:
        given: an iterable of texts, of rows of token ids, or of rows with columns (such as a
            ``datasets.Dataset``, streamed or not); an integer tensor ``[row pos]``; a path to a
            ``.txt`` (a text a line), ``.jsonl`` or ``.json`` file; one text by itself.
        column: where rows have columns, the one with the text or the token ids.

    Raises:
        TokenError: neither text nor token ids; a column that is not there.
        StoreError: a file that is not there, or cannot be read as what its name says.
    """
    for number, row in enumerate(_rows(given)):
        yield _document(row, column, number)


def _rows(given: Any) -> Iterable[Any]:
    if isinstance(given, (str, os.PathLike)):
        is_path = isinstance(given, os.PathLike) or _names_a_file(given)
        return _file_rows(Path(given)) if is_path else [given]
    if isinstance(given, Mapping):
        names = ", ".join(map(repr, list(given)[:4]))
        raise TokenError(
            f"the text is a dictionary with the keys {names}",
            mend='give one of its values: one split of a dataset, such as data["train"]',
        )
    if isinstance(given, (Tensor, np.ndarray)):
        return given if given.ndim == 2 else [given]
    if isinstance(given, (bytes, type)) or not isinstance(given, Iterable):
        raise TokenError(
            f"cannot read text from text={shown(given)}",
            mend="give texts (any iterable), a dataset, or the path of a .txt, .json, .jsonl file",
        )
    if isinstance(given, (list, tuple)) and given and _is_number(given[0]):
        return [given]
    return given


def _names_a_file(text: str) -> bool:
    return "\n" not in text and len(text) < 1000 and Path(text).suffix in SUFFIXES


def _file_rows(path: Path) -> Iterator[Any]:
    if path.suffix not in SUFFIXES:
        raise StoreError(
            f"a text file ends in {', '.join(SUFFIXES)}, not {path.suffix or 'nothing'}",
            mend="give it that suffix; .txt holds one text a line", where=str(path),
        )  # fmt: skip
    try:
        with path.open(encoding="utf-8") as file:
            yield from _parsed(file, path)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StoreError(
            f"the text cannot be read: {why}", mend="give the path of a readable file in UTF-8",
            where=str(path),
        ) from error  # fmt: skip


def _parsed(file: Any, path: Path) -> Iterator[Any]:
    if path.suffix == ".txt":
        yield from (line.rstrip("\n") for line in file)
        return
    number = 0
    try:
        if path.suffix == ".json":
            rows = json.load(file)
            yield from rows if isinstance(rows, list) else [rows]
            return
        for number, line in enumerate(file, 1):  # noqa: B007
            if line.strip():
                yield json.loads(line)
    except ValueError as error:
        raise StoreError(
            f"{'line ' + str(number) if number else 'the file'} is no JSON: {error}",
            mend="mend the file; .jsonl holds one JSON value a line, .json a list",
            where=str(path),
        ) from error


def _document(row: Any, column: str, number: int) -> Document:
    if isinstance(row, Mapping):
        if column not in row:
            raise TokenError(
                f"row {number} of the text has no column {column!r}",
                mend=f"name the column with column=; it has: {', '.join(map(str, row))}",
            )
        row = row[column]
    if isinstance(row, str):
        return row
    try:
        ids = row.detach().cpu().numpy() if isinstance(row, Tensor) else np.asarray(row)
    except (TypeError, ValueError):
        ids = np.asarray(None)
    if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
        raise TokenError(
            f"row {number} of the text is neither text nor token ids: {shown(row)}",
            mend="give texts, rows of token ids, or name the column of the text with column=",
        )
    return ids.astype(np.int64)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
