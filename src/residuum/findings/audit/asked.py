"""What a question is asked of: the models, what may be spent, and who is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from residuum.core import Progress
from residuum.findings.record.budget import Budget
from residuum.runs import Model


@dataclass(frozen=True, eq=False)
class Asked:
    """What a question is asked of.

    Attributes:
        model: under review.
        against: its clean twin, or None.
        budget: what may be spent.
        seed: of every random choice.
        out: folder in which investigations keep their finished stages, or None.
        progress: who is told.
    """

    model: Model
    against: Model | None
    budget: Budget
    seed: int
    out: Path | None
    progress: Progress
