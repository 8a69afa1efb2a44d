"""Which tokens the answer hangs on: by gradients, and by replacing each, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import SILENT, OptionError, Progress, Set
from residuum.core.progress import track
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.token_record import TokenAttribution
from residuum.lenses.verb_options import need_intervals
from residuum.models import Batch
from residuum.runs import (
    Metric,
    Model,
    Task,
    bootstrap_mean_interval,
    metric_named,
    need_model,
    need_task,
    refuse_unknown,
    shown,
    whole_number,
)

METHODS = ("integrated_gradients", "grad_input")
BASELINES = ("mean", "zero", "corrupt")


def token_attribution(
    model: Model,
    task: Task,
    method: str = "integrated_gradients",
    *,
    baseline: str = "mean",
    steps: int = 32,
    batch_size: int = 32,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> TokenAttribution:
    """Attribute the task's metric to the tokens of its clean prompts, and check by replacing them.

    Beside each attribution stands the causal effect of the token: the metric minus what it is when
    this token's embedding alone is replaced by the baseline (its position stays).

    Args:
        model: a loaded model.
        task: its clean prompts, answers and metric.
        method: ``integrated_gradients`` from the baseline to the prompt; or ``grad_input``, the
            gradient at the prompt times (embedding - baseline).
        baseline: ``mean``: of the embeddings of all tokens of these prompts; ``zero``; or
            ``corrupt``: the corrupt prompt's token there (only tokens that differ can then count).
        steps: points of the integral (Gauss-Legendre).
        batch_size: prompts in one pass.
        level, resamples, seed: of the bootstrap interval of the agreement, by template where there
            are several.
        progress: who is told.

    Returns:
        Attributions and effects in the metric's unit, their rank correlation (over the tokens
        that the baseline changes) with an interval, and
        how far the attributions miss the sum that they should have: see :class:`TokenAttribution`.

    Raises:
        OptionError: no model, an unknown option, method or baseline; a metric without gradient.
        TaskError: no task, ids that do not belong to this model, or an answer that is also wrong.
        ShapeError: NaN or infinity in the model; the message names where they begin.

    Shows: tokens whose embedding moves the metric. Does not show: through which parts; and the two
    differ where tokens act together (each alone may be replaced without loss) or the metric is
    curved: the agreement says how far.

    Source: Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks", section 3
    (completeness: attributions sum to the difference between prompt and baseline). Deviations: the
    integral by Gauss-Legendre points instead of a Riemann sum; position embeddings stay.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> found = token_attribution(model, rz.task("facts", model, n=2), steps=32)
    >>> bool(found.completeness_gap < 0.01 * abs(found.clean - found.base).max())
    True
    """
    options = "method, baseline, steps, batch_size, level, resamples, seed, progress"
    refuse_unknown(unknown, "token_attribution", options)
    need_model(model, "token_attribution")
    need_task(task, "token_attribution")
    whole_number(steps, "steps", 1)
    whole_number(batch_size, "batch_size", 1)
    need_intervals(level, resamples, seed, progress)
    _one_of("method", method, METHODS)
    _one_of("baseline", baseline, BASELINES)
    measure = metric_named(task.metric)
    if not measure.differentiable or measure.needs_reference:
        raise OptionError(
            f"the metric {task.metric!r} has no gradient to attribute by",
            mend="make the task with logit_diff, prob, prob_diff or loss_nats",
        )
    task.check_fits(model)
    asked = _Asked(model, task, measure, baseline, batch_size)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    points = [((x + 1) / 2, w / 2) for x, w in zip(nodes, weights, strict=True)]
    points = points if method == "integrated_gradients" else [(1.0, 1.0)]
    gradient = torch.zeros_like(asked.change)
    for alpha, weight in track(points, progress, "gradients", len(points)):
        gradient += weight * asked.gradient(asked.base + alpha * asked.change)
    scores = (gradient * asked.change).sum(-1)
    effects = asked.effects(progress)
    moved = asked.change.abs().amax(-1) > 0
    correlations = [
        _spearman(a[r], e[r]) for a, e, r in zip(scores, effects, asked.real & moved, strict=True)
    ]
    return _record(asked, method, steps, scores, effects, correlations, (level, resamples, seed))


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(f"{name}={shown(value)}", mend=f"use one of: {', '.join(choices)}")


class _Asked:
    """One question: prompts, their embeddings, and the baseline's."""

    def __init__(
        self, model: Model, task: Task, measure: Metric, baseline: str, batch_size: int
    ) -> None:
        self.model, self.task, self.measure, self.size = model, task, measure, batch_size
        self.baseline = baseline
        width = task.clean.shape[1]
        self.real = torch.arange(width)[None] < task.lengths[:, None]
        self._refuse_broken()
        clean = self._embedded(task.clean)
        if baseline == "corrupt":
            self.base = self._embedded(task.corrupt)
        elif baseline == "mean":
            self.base = clean[self.real].mean(0).expand_as(clean).clone()
        else:
            self.base = torch.zeros_like(clean)
        self.base[~self.real] = clean[~self.real]
        self.change = clean - self.base
        self.clean = clean

    def _embedded(self, ids: Tensor) -> Tensor:
        batch = Batch(ids, self.task.attention_mask)
        run = self.model.run(batch, capture="embed", logits=False, batch_size=self.size)
        return run["embed"].cpu()

    def _refuse_broken(self) -> None:
        """Whether the unedited model answers in numbers."""
        mask = self.task.attention_mask
        whole = Batch(self.task.clean, mask)
        for start in range(0, len(self.task), self.size):
            batch = whole.rows(start, start + self.size)
            logits = self.model.run(batch).logits
            assert logits is not None
            real = logits if batch.mask is None else logits[batch.mask.to(logits.device)]
            need_finite(self.model, batch, "the logits", (real,))

    def _run(self, rows: Tensor, put: Tensor, *, grad: bool) -> tuple[Tensor, Tensor | None]:
        """Metric of some rows with other embeddings, and its gradient there."""
        mask = self.task.attention_mask
        batch = Batch(self.task.clean[rows], None if mask is None else mask[rows])
        last = self.task.last[rows]

        def metric(logits: Tensor) -> Tensor:
            at = torch.arange(len(rows), device=logits.device)
            return self.measure(logits[at, last.to(logits.device)], self.task, rows=rows)

        run = self.model.run(
            batch,
            edits=[Set("embed", put.to(self.model.device))],
            capture="embed" if grad else (),
            grad_of=metric if grad else None,
        )
        assert run.logits is not None
        with torch.no_grad():
            value = metric(run.logits).cpu()
        return value, run.grad["embed"].cpu() if grad else None

    def _by_rows(self, rows: Tensor, put: Callable[[slice], Tensor], grad: bool) -> Tensor:
        found = []
        for start in range(0, len(rows), self.size):
            chunk = slice(start, start + self.size)
            value, slope = self._run(rows[chunk], put(chunk), grad=grad)
            found.append(value if slope is None else slope)
        return torch.cat(found)

    def gradient(self, embeddings: Tensor) -> Tensor:
        """Of each prompt's metric, ``[example pos d_model]``."""
        return self._by_rows(torch.arange(len(self.task)), lambda chunk: embeddings[chunk], True)

    def metric(self, embeddings: Tensor) -> Tensor:
        """``[example]``."""
        return self._by_rows(torch.arange(len(self.task)), lambda chunk: embeddings[chunk], False)

    def effects(self, progress: Progress) -> Tensor:
        """Metric minus what it is with each token replaced by the baseline, ``[example pos]``."""
        whole = self.metric(self.clean)
        effects = torch.zeros(self.real.shape, dtype=whole.dtype)
        for pos in track(range(effects.shape[1]), progress, "replacing tokens", effects.shape[1]):
            rows = self.real[:, pos].nonzero()[:, 0]
            put = self.clean[rows].clone()
            put[:, pos] = self.base[rows, pos]
            effects[rows, pos] = whole[rows] - self._by_rows(rows, put.__getitem__, False)
        return effects


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _spearman(left: Tensor, right: Tensor) -> float:
    """Rank correlation; NaN where one side does not vary or there are fewer than three tokens."""
    if len(left) < 3:
        return float("nan")
    a, b = (_ranks(each.double().numpy()) for each in (left, right))
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _record(
    asked: _Asked,
    method: str,
    steps: int,
    scores: Tensor,
    effects: Tensor,
    correlations: list[float],
    sure: tuple[float, int, int],
) -> TokenAttribution:
    task, model = asked.task, asked.model
    level, resamples, seed = sure
    clean, base = (asked.metric(each).double().numpy() for each in (asked.clean, asked.base))
    known = np.array([i for i, each in enumerate(correlations) if np.isfinite(each)], dtype=int)
    values = np.array(correlations)[known]
    labels = [task.templates[i] for i in known] if len(set(task.templates)) > 1 else None
    ends = bootstrap_mean_interval(values.tolist(), level, resamples, seed, labels)
    nan = float("nan")
    table = [np.where(asked.real, each.double().numpy(), nan) for each in (scores, effects)]
    detail = f", steps={steps}" if method == "integrated_gradients" else ""
    strategy = f"token_attribution({method}, baseline={asked.baseline}{detail}, {task.metric})"
    missed = np.abs(np.nansum(table[0], axis=1) - (clean - base)).max()
    return TokenAttribution(
        scores=table[0],
        effects=table[1],
        tokens=tuple(
            tuple(model.to_str_tokens(row[:length]))
            for row, length in zip(task.clean, task.lengths.tolist(), strict=True)
        ),
        agreement=float(values.mean()) if len(values) else nan,
        agreement_interval=ends,
        per_example=np.array(correlations),
        clean=clean,
        base=base,
        completeness_gap=float(missed),
        method=method,
        baseline=asked.baseline,
        metric=task.metric,
        unit=asked.measure.unit,
        provenance=model.provenance(strategy=strategy, task_hash=task.task_hash, seed=seed),
    )
