"""The bench that the stages work on: a model, some pairs, and the metric read off a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from residuum.core import Edit
from residuum.findings.chain.known import Known
from residuum.models import Batch, final_logits
from residuum.runs import Metric, Model, Run, Task, metric_named

Side = Literal["clean", "corrupt"]


@dataclass(frozen=True)
class Bench:
    """A model with pairs to measure on.

    Attributes:
        model: what is looked into.
        task: the pairs.
        seed: of every random choice.
    """

    model: Model
    task: Task
    seed: int = 0

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return metric_named(self.task.metric)

    @property
    def clusters(self) -> tuple[str, ...] | None:
        """Template of each pair, by which intervals are drawn; None where there are not several."""
        return tuple(self.task.templates) if len(set(self.task.templates)) > 1 else None

    @property
    def has_wrong(self) -> bool:
        """Whether every pair has wrong answers."""
        wrong = self.task.wrong
        return wrong.shape[1] > 0 and bool((wrong[:, 0] >= 0).all())

    def batch(self, side: Side) -> Batch:
        """One side's prompts."""
        ids = self.task.clean if side == "clean" else self.task.corrupt
        return Batch(ids, self.task.attention_mask)

    @cached_property
    def known(self) -> Known:
        """What was computed on these pairs without edits."""
        return Known()

    def run(self, side: Side, capture: Sequence[str]) -> Run:
        """What one side's prompts hold at these sites, without edits; computed once."""
        return self.known.run(self.model, self.batch(side), side, capture)

    def logits(self, side: Side, edits: Sequence[Edit] = ()) -> Tensor:
        """Logits at the answer position, ``[example d_vocab]``, float64 on the CPU.

        The other positions are not unembedded, which in a small model of many words saves a third.
        Without edits they are computed once.
        """
        if not edits:
            return self.known.value(("logits", side), lambda: self._logits(side, ()))
        return self._logits(side, edits)

    def _logits(self, side: Side, edits: Sequence[Edit]) -> Tensor:
        batch, end = self.batch(side), f"L{self.model.n_layers - 1}.resid_post"
        with torch.no_grad():
            run = self.model.run(batch, edits=edits, capture=[end], logits=False)
            rows, last = torch.arange(len(self.task)), run.batch.starts + run.batch.lengths - 1
            stream = run[end][rows, last.to(rows.device)]
            return final_logits(self.model.adapted.parts, stream).double().cpu()

    def measure(self, logits: Tensor) -> np.ndarray:
        """The metric, larger is more of the behaviour, ``[example]``."""
        sign = 1.0 if self.metric.larger_is_better else -1.0
        return sign * self.metric(logits, self.task).numpy()

    def values(self, side: Side, edits: Sequence[Edit] = ()) -> np.ndarray:
        """The metric of each example under edits, ``[example]``."""
        return self.measure(self.logits(side, edits))

    @cached_property
    def clean(self) -> np.ndarray:
        """The metric on the clean prompts, ``[example]``."""
        return self.values("clean")

    @cached_property
    def corrupt(self) -> np.ndarray:
        """The metric on the corrupt prompts, ``[example]``."""
        return self.values("corrupt")

    @property
    def distance(self) -> float:
        """Mean metric on clean minus mean metric on corrupt prompts."""
        return float(self.clean.mean() - self.corrupt.mean())

    @property
    def differing(self) -> float:
        """Share of a pair's positions in which its two prompts differ, median over pairs."""
        task = self.task
        places = torch.arange(task.clean.shape[1], device=task.clean.device)
        inside = places < task.lengths.to(places.device)[:, None]
        differ = ((task.clean != task.corrupt) & inside).sum(1) / inside.sum(1)
        return float(differ.double().median())

    def strings(self, ids: Tensor) -> tuple[str, ...]:
        """Token ids as texts; padding (below 0) left out."""
        return tuple(self.model.to_str_tokens([int(each) for each in ids if each >= 0]))

    def prompt(self, side: Side, row: int) -> tuple[str, ...]:
        """The tokens of one prompt as texts, without padding."""
        ids = self.task.clean if side == "clean" else self.task.corrupt
        return self.strings(ids[row, : int(self.task.lengths[row])])
