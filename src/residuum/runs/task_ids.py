"""Contrast pairs that come as integer tensors, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import TaskError
from residuum.runs.pair_rows import PairRow


def rows_from_ids(
    clean: Any,
    corrupt: Any,
    answers: Any,
    wrong: Any = None,
    lengths: Any = None,
    positions: Mapping[str, Any] | None = None,
    templates: Sequence[str] | None = None,
) -> list[PairRow]:
    """Split tensors of ids into rows.

    Args:
        clean, corrupt: ids [batch pos].
        answers, wrong: ids [batch] or [batch n] padded with -1; ``wrong`` may be None.
        lengths: real tokens of each row [batch]; None means all.
        positions: name -> positions [batch], or one number for all rows.
        templates: a label per row; empty by default.

    Raises:
        TaskError: something missing, not of integers, or of another shape than the prompts.
    """
    missing = [name for name, each in (("corrupt", corrupt), ("answers", answers)) if each is None]
    if missing:
        raise TaskError(f"{', '.join(missing)} missing", mend="give ids for them beside clean=")
    clean, corrupt = _table(clean, "clean"), _table(corrupt, "corrupt")
    if clean.ndim != 2 or clean.shape != corrupt.shape:
        raise TaskError(
            f"clean has shape {list(clean.shape)}, corrupt {list(corrupt.shape)}",
            mend="give both as [batch pos], aligned token by token",
        )
    n, width = clean.shape
    if n and not width:
        raise TaskError("the prompts are empty", mend="give each prompt at least one token")
    right = _columns(answers, "answers", n)
    other = torch.full((n, 1), -1) if wrong is None else _columns(wrong, "wrong", n)
    ends = torch.full((n,), width) if lengths is None else _columns(lengths, "lengths", n)[:, 0]
    if n and not bool(((ends >= 1) & (ends <= width)).all()):
        raise TaskError("lengths outside the prompts", mend=f"lengths lie between 1 and {width}")
    places = {
        name: _columns(_for_all(where, name, n), name, n)[:, 0]
        for name, where in _by_name(positions).items()
    }
    labels = ("",) * n if templates is None else _labels(templates)
    if len(labels) != n:
        raise TaskError(f"{len(labels)} templates for {n} pairs", mend="give one label per pair")
    return [
        PairRow(
            tuple(clean[at, : ends[at]].tolist()),
            tuple(corrupt[at, : ends[at]].tolist()),
            _unpadded(right[at]),
            _unpadded(other[at]),
            {name: int(where[at]) for name, where in places.items()},
            labels[at],
        )
        for at in range(n)
    ]


def _by_name(positions: Any) -> Mapping[str, Any]:
    if positions is None:
        return {}
    if not isinstance(positions, Mapping):
        raise TaskError(
            f"positions go by name, got {type(positions).__name__}",
            mend='write them as positions={"S": 3}',
        )
    return positions


def _for_all(where: Any, name: str, n: int) -> Tensor:
    """One position for all rows, or as given."""
    table = _table(where, name)
    return table.expand(n) if table.ndim == 0 else table


def _table(ids: Any, name: str) -> Tensor:
    try:
        table = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"{name} is no table of ids: {str(error).splitlines()[0]}",
            mend="give an integer tensor, rows of one length",
        ) from error
    if table.is_floating_point() or table.is_complex() or table.dtype == torch.bool:
        raise TaskError(f"{name} holds {table.dtype}", mend="give integer token ids")
    return table.detach().cpu().long()


def _labels(templates: Any) -> tuple[str, ...]:
    many = isinstance(templates, Sequence) and not isinstance(templates, str)
    if not many or not all(isinstance(label, str) for label in templates):
        raise TaskError(
            f"templates are labels, got {str(templates)[:40]!r}", mend="give a text for each pair"
        )
    return tuple(templates)


def _columns(ids: Any, name: str, n: int) -> Tensor:
    table = _table(ids, name)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[0] != n or not table.shape[1]:
        raise TaskError(
            f"{name} has shape {list(table.shape)} for {n} pairs",
            mend="give [batch], or [batch n] padded with -1",
        )
    return table


def _unpadded(ids: Tensor) -> tuple[int, ...]:
    """Ids without padding (-1) and repeats; other negative ids stay, to be refused."""
    return tuple(dict.fromkeys(each for each in ids.tolist() if each != -1))
