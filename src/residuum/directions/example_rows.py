"""Rows of examples as tensors: padding, labels as numbers, positions, and contradictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from residuum.core import OptionError, TaskError, TokenError
from residuum.runs import Model, shown


def token_rows(model: Model, texts: Sequence[Any]) -> list[list[int]]:
    """The ids of each text (or row of ids), beginning-of-sentence token included.

    Raises:
        TokenError: a text that the model cannot read; ``where`` names its row, counted from 1.
    """
    rows = []
    for number, text in enumerate(texts, start=1):
        try:
            batch = model.adapted.tokens.batch(text if isinstance(text, str) else [text])
        except TokenError as error:
            raise TokenError(error.what, mend=error.mend, where=f"row {number}") from error
        rows.append(batch.ids[0].tolist())
    return rows


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of ids as ``[n pos]``, padded on the right, and the mask of real tokens.

    >>> ids, mask = padded([[5], [6, 7]], 0)
    >>> ids.tolist(), mask.tolist()
    ([[5, 0], [6, 7]], [[True, False], [True, True]])
    """
    if not rows:
        raise TaskError("there are no examples", mend="give at least one of each class")
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        mask[at, : len(row)] = True
    return ids, mask


def class_labels(labels: Sequence[Any]) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as numbers from 0, and the name of each.

    >>> class_labels(["no", "yes", "no"])
    (tensor([0, 1, 0]), ('no', 'yes'))
    """
    given: Any = labels
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    plain = [value for value in values if isinstance(value, (str, int, float, bool))]
    if len(plain) != len(values) or any(value != value for value in plain):
        wrong = next(v for v in values if not isinstance(v, (str, int, float, bool)) or v != v)
        raise TaskError(
            f"{shown(wrong)} is no label", mend="give a text, a number or a truth value for each"
        )
    kinds = sorted(set(plain), key=lambda value: (isinstance(value, str), value))
    if len({str(kind) for kind in kinds}) != len(kinds):
        raise TaskError(
            "labels are text for some examples and numbers for others",
            mend="write them in one way",
        )
    number = {kind: index for index, kind in enumerate(kinds)}
    return torch.tensor([number[value] for value in plain]), tuple(map(str, kinds))


def token_numbers(mask: Tensor, position: int | Sequence[int] | Tensor) -> Tensor:
    """The token that each row is read at, counted from its first, ``[n]``.

    Args:
        mask: ``[n pos]`` real tokens.
        position: one number or one a row; negative ones count from the last real token.

    Raises:
        TokenError: a row that has no such token.
    """
    lengths = mask.sum(1)
    given = torch.as_tensor(position)
    if given.is_floating_point() or given.dtype == torch.bool or given.ndim > 1:
        raise OptionError(
            f"position={shown(position)} is no token", mend="give whole numbers, such as -1"
        )
    if given.ndim and len(given) != len(mask):
        raise OptionError(
            f"{len(given)} positions for {len(mask)} examples", mend="give one number, or one each"
        )
    at = torch.where(given < 0, lengths + given, given.expand(len(mask)))
    bad = ((at < 0) | (at >= lengths)).nonzero().flatten()
    if len(bad):
        row = int(bad[0])
        raise TokenError(
            f"example {row} has {int(lengths[row])} tokens, none at position "
            f"{int(given.expand(len(mask))[row])}",
            mend="choose a token that every example has; negative numbers count from the end",
        )
    return at


def need_consistent(
    identities: Sequence[str], labels: Tensor, classes: Sequence[str], where: str
) -> None:
    """Refuse one class, and prompts that stand under two labels.

    Raises:
        TaskError: says which.
    """
    present = sorted(set(labels.tolist()))
    if len(present) < 2:
        raise TaskError(
            f"all {len(labels)} examples are of one class ({classes[present[0]]})",
            mend="give examples of at least two classes",
            where=where,
        )
    numbers = labels.tolist()
    first: dict[str, int] = {}
    for row, identity in enumerate(identities):
        other = first.setdefault(identity, row)
        if numbers[other] != numbers[row]:
            raise TaskError(
                f"examples {other} and {row} are the same prompt under two labels "
                f"({classes[numbers[other]]}, {classes[numbers[row]]})",
                mend="give each prompt one label; a side that is not in the prompt is no label",
                where=where,
            )
