"""Prompts drawn again, with replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import OptionError, TaskError
from residuum.runs import shown

UNITS = ("pair", "template")


def resampled_rows(
    examples: int, n: int, unit: str = "pair", templates: Sequence[str] = (), seed: int = 0
) -> list[np.ndarray]:
    """Row numbers of ``n`` samples of a task's pairs, drawn with replacement.

    Args:
        examples: how many pairs there are.
        unit: what is drawn: ``"pair"``, or ``"template"`` for all pairs of a template at once.
        templates: label of each pair; needed for templates.

    Raises:
        OptionError: another unit.
        TaskError: fewer than two units.

    >>> [each.tolist() for each in resampled_rows(3, 2)]
    [[2, 1, 1], [0, 0, 0]]
    """
    if unit not in UNITS:
        raise OptionError(f"unit={shown(unit)} is unknown", mend=f"use {' or '.join(UNITS)}")
    labels = list(templates) if unit == "template" else list(range(examples))
    names = list(dict.fromkeys(labels))
    if len(names) < 2:
        raise TaskError(
            f"{len(names)} {unit}s cannot be drawn again",
            mend="take a task of more pairs, or unit='pair'",
        )
    groups = [np.flatnonzero([label == name for label in labels]) for name in names]
    drawn = np.random.default_rng(seed).integers(0, len(names), (n, len(names)))
    return [np.concatenate([groups[at] for at in row]) for row in drawn.tolist()]
