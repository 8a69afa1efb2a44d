"""Does the model do it at all: accuracy and logit difference of a task, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from residuum.core import SILENT, Progress
from residuum.runs.intervals import Interval, bootstrap_mean_interval, wilson_interval
from residuum.runs.metrics import accuracy, logit_diff
from residuum.runs.pair_rows import TaskModel


class Prompts(Protocol):
    """What the check needs of a task."""

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    @property
    def clean(self) -> Tensor:
        """Ids [batch pos]."""
        ...

    @property
    def corrupt(self) -> Tensor:
        """Ids [batch pos]."""
        ...

    @property
    def answers(self) -> Tensor:
        """Ids [batch n], padded with -1."""
        ...

    @property
    def wrong(self) -> Tensor:
        """Ids [batch n], padded with -1."""
        ...

    @property
    def positions(self) -> Mapping[str, Tensor]:
        """Name -> token positions [batch]."""
        ...

    @property
    def templates(self) -> tuple[str, ...]:
        """Label of each pair's sentence pattern."""
        ...

    @property
    def lengths(self) -> Tensor:
        """Real tokens of each row, [batch]."""
        ...

    @property
    def attention_mask(self) -> Tensor | None:
        """Bool [batch pos], or None."""
        ...

    @property
    def task_hash(self) -> str:
        """Content hash."""
        ...


@dataclass(frozen=True)
class SideCheck:
    """What the model does on the clean or on the corrupt prompts.

    Attributes:
        accuracy: share of prompts whose most likely next token is an answer.
        accuracy_interval: its 95 % Wilson interval.
        wrong_share: share whose most likely next token is a wrong answer.
        logit_diff: mean of answers' minus wrong answers' logits; NaN where some row has no wrong.
        logit_diff_interval: its 95 % bootstrap interval (percentile, 2,000 resamples).
        right_values: 1 or 0 for each example.
        logit_diff_values: one number for each example.
    """

    accuracy: float
    accuracy_interval: Interval
    wrong_share: float
    logit_diff: float
    logit_diff_interval: Interval
    right_values: tuple[float, ...]
    logit_diff_values: tuple[float, ...]


@dataclass(frozen=True)
class BehaviourCheck:
    """Whether a model shows a behaviour before anyone asks how.

    The same answers count on both sides: a contrast that works has high accuracy on the clean
    prompts, low on the corrupt ones.

    Shows: how often and by what margin the model answers right on these prompts. Does not show:
    why, or what it does on prompts of other templates.

    Attributes:
        task: its name.
        task_hash: its content.
        n: number of examples.
        clean, corrupt: the two sides.
        seed: of the bootstrap.
    """

    task: str
    task_hash: str
    n: int
    clean: SideCheck
    corrupt: SideCheck
    seed: int = 0

    @property
    def accuracy(self) -> float:
        """Accuracy on the clean prompts."""
        return self.clean.accuracy

    @property
    def logit_diff(self) -> float:
        """Mean logit difference on the clean prompts."""
        return self.clean.logit_diff

    def describe(self) -> str:
        """Two lines of text."""
        return "\n".join(
            f"{name:8}accuracy {side.accuracy:.3f} [{side.accuracy_interval[0]:.3f}, "
            f"{side.accuracy_interval[1]:.3f}]  logit_diff {side.logit_diff:+.3f} "
            f"[{side.logit_diff_interval[0]:+.3f}, {side.logit_diff_interval[1]:+.3f}]  n {self.n}"
            for name, side in (("clean", self.clean), ("corrupt", self.corrupt))
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is NaN here is null there."""
        return _without_nan(asdict(self))


def check_behaviour(
    task: Prompts,
    model: TaskModel,
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = SILENT,
) -> BehaviourCheck:
    """Run both sides of a task and say how well the model does.

    Args:
        task: what to ask.
        model: whom to ask.
        batch_size: prompts per forward pass.
        seed: of the bootstrap.
        progress: told of every batch.

    Returns:
        Accuracy and logit difference with intervals, and the values behind them.
    """
    n = task.clean.shape[0]
    progress.start("behaviour check", 2 * -(-n // batch_size))
    try:
        sides = [
            _side(task, logits_at_answer(task, model, ids, batch_size, progress), seed)
            for ids in (task.clean, task.corrupt)
        ]
    finally:
        progress.finish()
    return BehaviourCheck(task.name, task.task_hash, n, sides[0], sides[1], seed)


def logits_at_answer(
    task: Prompts,
    model: TaskModel,
    ids: Tensor,
    batch_size: int = 64,
    progress: Progress = SILENT,
) -> Tensor:
    """Logits [batch d_vocab] at each row's last real token, without gradient.

    Args:
        task: whose lengths and padding hold.
        model: what runs.
        ids: the task's clean or corrupt ids, [batch pos].
        batch_size: prompts per forward pass.
        progress: told of every batch, within a stage that is open.
    """
    parts = []
    for start in range(0, ids.shape[0], batch_size):
        rows = slice(start, start + batch_size)
        mask = None if task.attention_mask is None else task.attention_mask[rows]
        with torch.no_grad():
            logits = model.run(ids[rows], attention_mask=mask).logits
        last = (task.lengths[rows] - 1).to(logits.device)
        parts.append(logits[torch.arange(len(last), device=logits.device), last])
        progress.advance()
    return torch.cat(parts)


def _side(task: Prompts, logits: Tensor, seed: int) -> SideCheck:
    logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    right = accuracy(logits, task.answers)
    wrong = accuracy(logits, task.wrong)
    diffs = [float(each) for each in logit_diff(logits, task.answers, task.wrong)]
    return SideCheck(
        accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), len(right)),
        wrong_share=float(wrong.mean()),
        logit_diff=sum(diffs) / len(diffs),
        logit_diff_interval=bootstrap_mean_interval(diffs, seed=seed),
        right_values=tuple(float(each) for each in right),
        logit_diff_values=tuple(diffs),
    )


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(each) for key, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_nan(each) for each in data]
    return None if isinstance(data, float) and math.isnan(data) else data
