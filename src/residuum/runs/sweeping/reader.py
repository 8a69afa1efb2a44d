"""Reading the answer off a last stream: only the logits that the metric looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.models import final_logits
from residuum.runs.metrics import Metric
from residuum.runs.model import Model
from residuum.runs.task import Task

FEW = ("logit_diff",)
"""Metrics that look at the answers' and wrong answers' logits alone."""


@dataclass(frozen=True)
class _Answers:
    """Answers and wrong answers of a task, renumbered into the tokens that are read."""

    answers: Tensor
    wrong: Tensor


class AnswerReader:
    """Metric values from last streams ``[row d_model]``.

    For metrics that look at answers and wrong answers alone only those tokens are unembedded.
    """

    def __init__(self, model: Model, task: Task, metric: Metric) -> None:
        self.model, self.task, self.metric = model, task, metric
        self.tokens: Tensor | None = None
        self.ids: _Answers | Task = task
        if metric.name in FEW:
            every = torch.unique(torch.cat([task.answers.flatten(), task.wrong.flatten()]))
            self.tokens = every[every >= 0]
            self.ids = _Answers(self._renumber(task.answers), self._renumber(task.wrong))

    def _renumber(self, ids: Tensor) -> Tensor:
        assert self.tokens is not None
        places = torch.searchsorted(self.tokens, ids.clamp_min(0))
        return torch.where(ids >= 0, places, ids)

    def values(self, stream: Tensor, rows: Tensor) -> np.ndarray:
        """The metric for each row, ``rows`` being its prompt in the task."""
        with torch.no_grad():
            logits = final_logits(self.model.adapted.parts, stream, self.tokens)
            return self.metric(logits.double().cpu(), self.ids, rows=rows).numpy()

    def of_logits(self, logits: Tensor, rows: Sequence[int] | None = None) -> np.ndarray:
        """The metric from full logits ``[row d_vocab]`` at the answers.

        Args:
            rows: prompts of the task; all of them by default.
        """
        which = None if rows is None else torch.tensor(list(rows))
        with torch.no_grad():
            return self.metric(logits.double().cpu(), self.task, rows=which).numpy()
