"""Contrast pairs from CSV, JSONL and JSON files, whatever their columns are called."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import ContrastPair, TaskError

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "clean": ("clean", "clean_prefix", "clean_prompt", "clean_text"),
    "corrupt": ("corrupt", "corrupted", "patch_prefix", "corrupt_prefix", "corrupt_prompt"),
    "answers": ("answers", "answer", "correct", "clean_answer", "clean_answers"),
    "wrong": ("wrong", "incorrect", "patch_answer", "wrong_answer", "wrong_answers"),
    "template": ("template", "case"),
}
"""Part of a pair -> the column names it is found under, first match first."""

_YEAR = "label"
_FOREIGN_IDS = ("correct_idx", "incorrect_idx")
_TWO_NAMES = re.compile(r"\b([A-Z]\w+) and ([A-Z]\w+)\b")


@dataclass(frozen=True)
class PairFile:
    """What a file of pairs holds.

    Attributes:
        pairs: one per row; empty where the row could not be read.
        problems: row number (from 1) -> why it could not be read.
        metric: the metric that the file's form asks for.
    """

    pairs: list[ContrastPair]
    problems: dict[int, str]
    metric: str


def read_pairs(path: str | Path, columns: Mapping[str, str] | None = None) -> PairFile:
    """Read contrast pairs in words from a file.

    Known forms, by their columns: pairs with answers (see :data:`COLUMN_NAMES`); greater-than
    (``clean``, ``corrupted`` and ``label``, a two-digit year: later years are right, years up to
    it wrong); indirect objects with ``correct_idx`` and ``incorrect_idx``, which are ids of a
    foreign tokenizer and are not used: the names are read from the sentence. Several words in
    one CSV cell are separated by ``|``; in JSON they are a list.

    Args:
        path: a ``.csv``, ``.jsonl`` or ``.json`` (a list of objects) file.
        columns: part of a pair -> column of this file, where the usual names do not fit.

    Returns:
        Pairs and what could not be read. Further columns are ignored.

    Raises:
        TaskError: no such file, another format, no rows, or columns that are missing.
    """
    rows, found = read_table(path, columns)
    return pairs_in(rows, found)


def read_table(
    path: str | Path, columns: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of a file of pairs, and part of a pair -> its column; as :func:`read_pairs`."""
    path = Path(path)
    rows = _read_rows(path)
    if not rows:
        raise TaskError("the file has no rows", mend="give at least one pair", where=str(path))
    return rows, _find_columns(rows[0], columns or {}, path)


def pairs_in(rows: Sequence[Mapping[str, Any]], found: Mapping[str, str]) -> PairFile:
    """Pairs in words from the rows of a file, and what could not be read."""
    pairs, problems = [], {}
    for number, row in enumerate(rows, start=1):
        try:
            pairs.append(_pair(row, found))
        except (_Unreadable, KeyError) as error:
            pairs.append(ContrastPair("", "", (), ()))
            problems[number] = (
                f"lacks column {error}" if isinstance(error, KeyError) else str(error)
            )
    return PairFile(pairs, problems, "prob_diff" if "year" in found else "logit_diff")


class _Unreadable(ValueError):
    """A row that does not say what its form promises."""


def _read_rows(path: Path) -> list[dict[str, Any]]:
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".json": _read_json}
    if path.suffix.lower() not in readers:
        raise TaskError(
            f"pairs are not read from {path.suffix or 'a file without suffix'}",
            mend="give a .csv, .jsonl or .json file",
            where=str(path),
        )
    if not path.is_file():
        raise TaskError("no such file", mend="check the path", where=str(path))
    try:
        rows = readers[path.suffix.lower()](path)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise TaskError(
            f"not readable: {error}", mend="save it as UTF-8 text of this format", where=str(path)
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TaskError("not a list of objects", mend="one object per pair", where=str(path))
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def _read_json(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _find_columns(row: Mapping[str, Any], columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """Part -> column; parts that this file has no column for are absent."""
    if not isinstance(columns, Mapping) or not _names((*columns, *columns.values())):
        raise TaskError(
            f"columns= maps parts of a pair to columns, got {columns!r}",
            mend='write it as columns={"clean": "its column"}',
            where=str(path),
        )
    strange = [part for part in columns if part not in COLUMN_NAMES]
    absent = [name for name in columns.values() if name not in row]
    if strange or absent:
        raise TaskError(
            f"columns= names {', '.join(strange or absent)}, which "
            + ("is no part of a pair" if strange else "the file does not have"),
            mend=f"parts are {', '.join(COLUMN_NAMES)}; columns here are {', '.join(row)}",
            where=str(path),
        )
    found = {
        part: next((name for name in names if name in row), "")
        for part, names in COLUMN_NAMES.items()
    }
    found = {part: name for part, name in {**found, **columns}.items() if name}
    if "answers" not in found and _YEAR in row:
        found["year"] = _YEAR
    elif "answers" not in found and all(name in row for name in _FOREIGN_IDS):
        found["names"] = found.get("clean", "")
    has_answers = any(part in found for part in ("answers", "year", "names"))
    missing = [part for part in ("clean", "corrupt") if part not in found]
    missing += [] if has_answers else ["answers"]
    if missing:
        raise TaskError(
            f"no column for {', '.join(missing)} among {', '.join(row)}",
            mend=f'name it: columns={{"{missing[0]}": "..."}}',
            where=str(path),
        )
    return found


def _names(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _pair(row: Mapping[str, Any], found: Mapping[str, str]) -> ContrastPair:
    clean, corrupt = row[found["clean"]], row[found["corrupt"]]
    for prompt in (clean, corrupt):
        if not prompt:
            raise _Unreadable("an empty prompt")
        if not isinstance(prompt, str):
            raise _Unreadable(f"a prompt is text, got {prompt!r}")
    if "year" in found:
        answers, wrong = _years(row[found["year"]])
    elif "names" in found:
        answers, wrong = _indirect_object(clean)
    else:
        answers = _words(row[found["answers"]])
        wrong = _words(row[found["wrong"]]) if "wrong" in found else ()
    template = str(row.get(found.get("template", ""), "") or "")
    return ContrastPair(clean, corrupt, answers, wrong, {}, template)


def _words(cell: Any) -> tuple[str, ...]:
    words = cell.split("|") if isinstance(cell, str) else cell
    if not isinstance(words, Sequence) or not all(isinstance(w, str) and w.strip() for w in words):
        raise _Unreadable(f"answers are words, got {cell!r}")
    return tuple(words)


def _years(label: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not re.fullmatch(r"\d{1,2}", str(label)):
        raise _Unreadable(f"label {label!r} is not a two-digit year")
    years = [f"{year:02d}" for year in range(100)]
    return tuple(years[int(label) + 1 :]), tuple(years[: int(label) + 1])


def _indirect_object(clean: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The name that stands once, and the one that stands again after "A and B"."""
    match = _TWO_NAMES.search(clean)
    if match is None:
        raise _Unreadable("no two names joined by 'and' to read the answer from")
    rest = clean[match.end() :]
    again = [bool(re.search(rf"\b{re.escape(name)}\b", rest)) for name in match.groups()]
    if sum(again) != 1:
        raise _Unreadable("not exactly one of the two names stands again")
    repeated = again.index(True)
    return (f" {match.group(2 - repeated)}",), (f" {match.group(1 + repeated)}",)
