"""Contrast pairs that come as token ids in a JSON or JSONL file, as checked rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from residuum.runs.pair_rows import Checked, PairRow, TaskModel, all_null, row_problem

_IDS = ("clean", "corrupt", "answers", "wrong")


def holds_ids(rows: Sequence[Mapping[str, Any]], found: Mapping[str, str]) -> bool:
    """Whether the rows of a file hold token ids: the first prompt is a list, not a text.

    Args:
        rows: of the file, as objects.
        found: part of a pair -> column.
    """
    return isinstance(rows[0].get(found["clean"]), list)


def rows_in(
    rows: Sequence[Mapping[str, Any]], found: Mapping[str, str], model: TaskModel | None
) -> list[Checked]:
    """Rows of ids, or why they cannot be used.

    ``clean`` and ``corrupt`` are lists of ids, ``answers`` and ``wrong`` lists or single ids,
    ``positions`` (optional) an object of names and token positions, ``template`` a label.

    Args:
        rows: of the file, as objects.
        found: part of a pair -> column.
        model: whose vocabulary and context they must fit; None asks nothing of them.
    """
    limits = (None, None) if model is None else (model.d_vocab, model.n_ctx)
    read = [_row(row, found) for row in rows]
    null = all_null([row for row in read if isinstance(row, PairRow)])
    return [
        row if isinstance(row, str) else row_problem(row, *limits, null=null) or row
        for row in read
    ]  # fmt: skip


def _row(row: Mapping[str, Any], found: Mapping[str, str]) -> Checked:
    parts = {part: _ids(row.get(found[part])) for part in _IDS if part in found}
    for part, ids in parts.items():
        if ids is None:
            return f"{part} is no list of token ids: {str(row.get(found[part]))[:40]!r}"
    places = row.get("positions", {})
    if not isinstance(places, dict) or not all(_is_id(at) for at in places.values()):
        return f"positions are names with token positions, got {str(places)[:40]!r}"
    clean, corrupt, answers, wrong = (parts.get(part) or () for part in _IDS)
    label = str(row.get(found.get("template", ""), "") or "")
    return PairRow(
        clean, corrupt, tuple(dict.fromkeys(answers)), tuple(dict.fromkeys(wrong)), places, label
    )


def _ids(cell: Any) -> tuple[int, ...] | None:
    """One id or a list of them; None for anything else."""
    listed = cell if isinstance(cell, list) else [cell]
    return tuple(listed) if all(map(_is_id, listed)) else None


def _is_id(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63
