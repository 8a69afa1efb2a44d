"""Labelled texts from CSV, JSONL and JSON files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import TaskError
from residuum.core.paths import as_path

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "statement", "prompt", "sentence"),
    "label": ("label", "class"),
    "group": ("group", "template", "source"),
}
"""Part of an example -> the column names it is found under, first match first."""


@dataclass(frozen=True)
class ExampleRows:
    """Texts, labels and, where the file has them, groups."""

    texts: tuple[str, ...]
    labels: tuple[Any, ...]
    groups: tuple[str, ...] | None


def read_examples(path: str | Path) -> ExampleRows:
    """Read ``text, label[, group]`` rows; further columns are ignored.

    Raises:
        TaskError: no such file, another format, no rows, columns or cells that are missing.
    """
    file = as_path(path)
    rows = _rows(file)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise TaskError(
            "the file has no rows of examples",
            mend="give one object with text and label a row",
            where=str(file),
        )
    columns = {part: _column(rows[0], part, file) for part in COLUMN_NAMES}
    texts, labels = (_cells(rows, columns[part], file) for part in ("text", "label"))
    group = columns["group"]
    groups = None if group is None else tuple(map(str, _cells(rows, group, file)))
    return ExampleRows(tuple(map(str, texts)), tuple(labels), groups)


def _rows(file: Path) -> list[Any]:
    kind = file.suffix.lower()
    if kind not in (".csv", ".jsonl", ".json"):
        raise TaskError(
            f"examples are not read from {kind or 'a file without suffix'}",
            mend="give a .csv, .jsonl or .json file",
            where=str(file),
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
        if kind == ".csv":
            return list(csv.DictReader(text.splitlines()))
        if kind == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        found = json.loads(text)
    except FileNotFoundError as error:
        raise TaskError("no such file", mend="check the path", where=str(file)) from error
    except (OSError, ValueError, csv.Error) as error:
        raise TaskError(
            f"not readable: {error}", mend="save it as UTF-8 text of this format", where=str(file)
        ) from error
    return found if isinstance(found, list) else []


def _column(row: dict[str, Any], part: str, file: Path) -> str | None:
    found = next((name for name in COLUMN_NAMES[part] if name in row), None)
    if found is None and part != "group":
        raise TaskError(
            f"the file has no column for the {part}; its columns are: {', '.join(map(str, row))}",
            mend=f"name one of them {' or '.join(COLUMN_NAMES[part])}",
            where=str(file),
        )
    return found


def _cells(rows: Sequence[dict[str, Any]], name: str | None, file: Path) -> list[Any]:
    cells = [row.get(str(name)) for row in rows]
    empty = [number for number, cell in enumerate(cells, 1) if cell is None or cell == ""]
    if empty:
        raise TaskError(
            f"rows without {name}: {', '.join(map(str, empty[:8]))}",
            mend="fill them in, or leave the rows out",
            where=str(file),
        )
    return cells
