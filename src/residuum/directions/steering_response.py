"""Dose and response: what each strength does to a task's answers, and what random pushes do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.directions.conditional import Pushing, Targets, push, single
from residuum.directions.random_directions import isotropic_directions
from residuum.runs import Model, Task, bootstrap_mean_interval, metric_named, wilson_interval
from residuum.runs.metrics import accuracy

Interval = tuple[float, float]


@dataclass(frozen=True)
class Dose:
    """What one strength does.

    Attributes:
        scale: in typical norms of the site; positive pushes along the direction.
        flipped: share of the prompts *without* the answer pushed for that now give it as their
            most likely next token: above 0 corrupt prompts that give clean answers, below 0 clean
            prompts that give corrupt ones. At 0, the share of both without any push.
        flipped_interval: 95 %: bootstrap by template; Wilson's where there is one template, or all
            prompts agree.
        effect: mean change of the metric over both sides of the pairs, signed towards clean.
        effect_interval: its 95 % bootstrap interval.
        random_flipped: mean share flipped by random directions of the same length.
        n: prompts that could flip.
    """

    scale: float
    flipped: float
    flipped_interval: Interval
    effect: float
    effect_interval: Interval
    random_flipped: float
    n: int


@dataclass(frozen=True, eq=False)
class Answering:
    """A task's prompts under a push.

    Attributes:
        direction: pushed along.
        targets: the tokens that are pushed.
        metric: name of the metric.
        batch_size: prompts in one pass.
    """

    model: Model
    task: Task
    direction: Pushing
    targets: Targets
    metric: str
    batch_size: int = 64

    def doses(self, scales: Sequence[float], n_random: int, seed: int) -> tuple[Dose, ...]:
        """One for each strength."""
        sides = ("clean", "corrupt")
        tokens = {side: self.tokens(side) for side in sides}
        plain = {side: self.logits(side, 0.0, tokens[side]) for side in sides}
        base = self._metric(plain)
        width = len(single(self.direction))
        units = [rows[0] for rows in isotropic_directions(width, n_random, seed=seed)]
        found = []
        for scale in scales:
            own = {side: self.logits(side, scale, tokens[side]) for side in sides}
            flipped = self._flips(own, scale)
            draws = [self._random(scale, tokens, unit) for unit in units]
            change = (self._metric(own) - base).mean(0)
            found.append(
                Dose(
                    scale,
                    float(flipped.mean()),
                    self._interval(flipped, seed, share=True),
                    float(change.mean()),
                    self._interval(change, seed),
                    sum(draws) / len(draws) if draws else float("nan"),
                    len(flipped),
                )
            )
        return tuple(found)

    def logits(self, side: str, scale: float, tokens: Tensor, unit: Tensor | None = None) -> Tensor:
        """At the last token of each prompt of a side, ``[n d_vocab]``."""
        ids, mask, parts = getattr(self.task, side), self.task.attention_mask, []
        for start in range(0, len(ids), self.batch_size):
            rows = slice(start, start + self.batch_size)
            here = tokens[rows]
            edits = []
            if scale and bool(here.any()):
                edits = [push(self.direction, scale, here, unit)]
            own = None if mask is None else mask[rows]
            parts.append(self.model.run(ids[rows], attention_mask=own, edits=edits).last.cpu())
        return torch.cat(parts).float()

    def tokens(self, side: str) -> Tensor:
        """Which tokens of a side are pushed, bool ``[n pos]``."""
        ids, mask = getattr(self.task, side), self.task.attention_mask
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        return self.targets.mask(self.model, ids, real, self.task.positions)

    def _metric(self, logits: dict[str, Tensor]) -> Tensor:
        """Of both sides, ``[2 n]``, larger towards clean."""
        metric = metric_named(self.metric)
        values = torch.stack([metric(logits[side], self.task) for side in ("clean", "corrupt")])
        return values if metric.larger_is_better else -values

    def _flips(self, logits: dict[str, Tensor], scale: float) -> Tensor:
        """1 where a prompt gives the answer that it is pushed to, ``[n]``."""
        up = accuracy(logits["corrupt"], self.task.answers)
        down = accuracy(logits["clean"], self.task.wrong)
        return up if scale > 0 else down if scale < 0 else torch.cat([up, down])

    def _random(self, scale: float, tokens: dict[str, Tensor], unit: Tensor) -> float:
        side = "corrupt" if scale > 0 else "clean"
        if not scale:
            return float("nan")
        own = {side: self.logits(side, scale, tokens[side], unit)}
        wanted = self.task.answers if scale > 0 else self.task.wrong
        return float(accuracy(own[side], wanted).mean())

    def _interval(self, values: Tensor, seed: int, share: bool = False) -> Interval:
        labels = list(self.task.templates) * (len(values) // max(len(self.task), 1))
        agreed = share and len(set(values.tolist())) == 1  # resampling would give a point
        if len(set(labels)) > 1 and not agreed:
            return bootstrap_mean_interval(values.tolist(), seed=seed, clusters=labels)
        if share:
            return wilson_interval(int(values.sum()), len(values))
        return bootstrap_mean_interval(values.tolist(), seed=seed)
