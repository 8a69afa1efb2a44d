"""Contrast pairs of examples as a task: the answer of each side is what the model says there."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from residuum.core import TaskError
from residuum.directions.examples import Examples
from residuum.directions.harvesting import Activations, SiteValues
from residuum.runs import Model, Task


def said_pairs(model: Model, values: SiteValues) -> Task:
    """The pairs as a task whose answers are what the model says on each side.

    Raises:
        TaskError: the model says the same on both sides of every pair.
    """
    examples, rows = cast(Activations, values.source).examples, values.rows
    assert values.pairs is not None
    side = {
        label: {int(p): int(r) for p, r, y in zip(values.pairs, rows, values.labels, strict=True)
                if int(y) == label}
        for label in (0, 1)
    }  # fmt: skip
    clean, corrupt = (torch.tensor([side[y][p] for p in sorted(side[1])]) for y in (1, 0))
    said = [_said(model, examples.subset(each)) for each in (clean, corrupt)]
    kept = said[0] != said[1]
    if not bool(kept.any()):
        raise TaskError(
            "the model says the same on both sides of every pair",
            mend="give pairs that it answers differently; check with task.evaluate(model)",
        )
    clean, corrupt = clean[kept], corrupt[kept]
    return Task.from_pairs(
        clean=examples.ids[clean],
        corrupt=examples.ids[corrupt],
        answers=said[0][kept],
        wrong=said[1][kept],
        lengths=examples.lengths[clean],
        name="pairs",
    )


def _said(model: Model, examples: Examples) -> Tensor:
    batch = examples.batch(0, len(examples))
    return model.run(batch).last.argmax(dim=-1).cpu()
