"""What every method of discovery works on: a model, a task, a graph, a reference, and a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.finer import Finer, finer_layers
from residuum.circuits.engine.references import References
from residuum.circuits.graph.fitting import dictionary_hashes, graph_on, partial_graph
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.positions import position_masks
from residuum.circuits.graph.scores import EdgeScores
from residuum.circuits.graph.seen_prompts import SeenPrompts
from residuum.core import OptionError, TaskError
from residuum.models import Batch, final_logits
from residuum.runs import METRICS, Metric, Model, Task, free_memory, metric_named

FORWARD, BACKWARD = 1.0, 2.0
"""Forward-pass equivalents of a pass and of its gradients."""

OVERHEAD = 32 * 10**6
"""Bytes that libraries and the allocator take beside the tensors."""

_SPARE = 0.85
"""Share of the rest that is planned with."""

_TOKENS = 4096
"""Tokens of one chunk at most: more gain nothing on a CPU."""


@dataclass
class DiscoveryProblem:
    """One circuit to be found.

    Attributes:
        metric: read at each prompt's last token.
        reference: what an edge carries instead, one of ``REFERENCES``.
        seed: of every random choice.
        max_memory: bytes beyond the model itself; by default half of what is free.
        passes: forward-pass equivalents spent so far.
        warnings: gathered on the way.

    Raises:
        OptionError: another model's graph.
    """

    model: Model
    task: Task
    graph: Graph
    metric: Metric
    reference: str = "counterfactual"
    seed: int = 0
    max_memory: int | None = None
    passes: float = field(default=0.0, init=False)
    warnings: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.graph = graph_on(self.graph, self.model)

    @property
    def sign(self) -> float:
        """1 where more of the metric is more of the behaviour, else -1."""
        return 1.0 if self.metric.larger_is_better else -1.0

    @cached_property
    def carried(self) -> References:
        """What an edge outside the circuit carries, ready to be asked for rows."""
        return References(self.model, self.task, self.reference, self.seed, self.finer)

    @cached_property
    def finer(self) -> Finer:
        """Neurons and latents that are nodes of the graph, by layer."""
        return finer_layers(self.model, self.graph)

    @cached_property
    def clean(self) -> Batch:
        """The clean prompts."""
        return Batch(self.task.clean, self.task.attention_mask)

    @cached_property
    def ends(self) -> Tensor:
        """Column of each prompt's last token."""
        return self.clean.starts + self.clean.lengths - 1

    @cached_property
    def position_masks(self) -> np.ndarray:
        """Bool ``[position example token]`` of the graph's positions."""
        return position_masks(self.task, self.graph.positions)

    def divided(
        self, held: float = 1.0, patterns: float = 0.0
    ) -> tuple[bool, list[tuple[int, int]]]:
        """Whether a pass may keep its blocks, and the rows that are worked on together.

        Args:
            held: tables of a number for each sender, token and ``d_model`` that a method holds.
            patterns: attention patterns of a whole layer that it holds beside its blocks.

        Raises:
            OptionError: not even one prompt fits into ``max_memory``.
        """
        prompts, width = self.task.clean.shape
        given = self.max_memory or free_memory(self.model.device) // 2
        lean, kept = (
            width * bytes_of_a_token(self, held, patterns, keep) / _SPARE for keep in (False, True)
        )
        if given < lean + OVERHEAD and self.max_memory is not None:
            raise OptionError(
                f"one prompt of {width} tokens takes about {(lean + OVERHEAD) / 1e6:.0f} MB, "
                f"max_memory is {given / 1e6:.0f} MB",
                mend="give more memory, or shorter prompts",
            )
        keep = given - OVERHEAD >= kept
        rows = int((given - OVERHEAD) // (kept if keep else lean))
        rows = max(1, min(rows, _TOKENS // width))
        return keep, [(low, min(low + rows, prompts)) for low in range(0, prompts, rows)]

    def logits_at(self, stream: Tensor, low: int, high: int) -> Tensor:
        """Logits at the last tokens of rows, from the last stream ``[row pos d_model]``."""
        at = self.ends[low:high].to(stream.device)
        last = stream[torch.arange(high - low, device=stream.device), at]
        return final_logits(self.model.adapted.parts, last)

    def measured(self, logits: Tensor, low: int, high: int, clean: Tensor | None = None) -> Tensor:
        """The metric, more being better, float64 ``[row]`` on the CPU.

        Args:
            clean: logits of the clean prompts, for metrics that compare with them.
        """
        reference = None if clean is None else clean.detach().double().cpu()
        rows = range(low, high)
        values = self.metric(logits.double().cpu(), self.task, list(rows), reference)
        return self.sign * values

    def scores(
        self,
        method: Mapping[str, Any],
        examples: np.ndarray | None,
        *,
        values: np.ndarray | None = None,
        full: np.ndarray | None = None,
        empty: np.ndarray | None = None,
        warnings: tuple[str, ...] = (),
        reference: str | None = None,
    ) -> EdgeScores:
        """The scores as a record.

        Args:
            examples: ``[example edge]``; None where a method has only ``values``, ``[edge]``.
            full, empty: the metric by example, signed so that more is better.
        """
        mean = np.zeros(0) if examples is None else examples.mean(axis=0)
        plain = (str, int, float, bool)
        options = [f"{k}={v}" for k, v in method.items() if k != "name" and isinstance(v, plain)]
        reference = self.reference if reference is None else reference
        return EdgeScores(
            self.graph,
            mean if values is None else values,
            examples,
            dict(method) | self._dictionaries(),
            reference,
            self.metric.name,
            float("nan") if full is None else float(self.sign * full.mean()),
            float("nan") if empty is None else float(self.sign * empty.mean()),
            self.passes,
            (*partial_graph(self.graph), *self.warnings, *warnings),
            self.model.provenance(
                task_hash=self.task.task_hash,
                strategy=f"{method['name']}({', '.join(options)}), {reference}, {self.metric.name}",
                seed=self.seed,
            ),
            tuple(self.task.templates),
            seen=SeenPrompts.of(self.task),
        )

    def _dictionaries(self) -> dict[str, Any]:
        """Which dictionaries' latents are nodes, for the record of the method."""
        found = dictionary_hashes(self.graph, self.model)
        return {"dictionaries": found} if found else {}


def metric_for(task: Task, name: str) -> Metric:
    """The metric of this name, the task's own by default; :func:`metric_named` raises."""
    return metric_named(name or task.metric)


def need_gradient(metric: Metric) -> None:
    """Refuse a metric without a gradient.

    Raises:
        OptionError: it has none.
    """
    if not metric.differentiable:
        known = ", ".join(name for name, each in METRICS.items() if each.differentiable)
        raise OptionError(
            f"the metric {metric.name!r} has no gradient",
            mend=f"use one of {known}, or a method that measures: ExactEdges()",
        )


def need_slope_at_clean(metric: Metric) -> None:
    """Refuse a metric that compares with the clean run, where only that run's slope is taken.

    Raises:
        TaskError: it does; the reason is in the message.
    """
    if metric.needs_reference:
        raise TaskError(
            f"{metric.name} to the clean output is least at the clean run itself, so its gradient "
            "there is zero and every first-order score would be zero",
            mend="use metric='logit_diff' or 'prob', integrated gradients (EAPIG), or ExactEdges()",
        )


def need_slope(metric: Metric, slope: Tensor) -> None:
    """Refuse a slope that is zero everywhere.

    Raises:
        TaskError: it is.
    """
    if not bool(slope.any()):
        raise TaskError(
            f"the gradient of {metric.name} is zero on every prompt, so every first-order score is",
            mend="probabilities may be saturated: use metric='logit_diff', or ExactEdges()",
        )


def bytes_of_a_token(problem: DiscoveryProblem, held: float, patterns: float, keep: bool) -> float:
    """Bytes that a gradient method holds for each token of a prompt, at most.

    Args:
        held: tables of a number for each sender and ``d_model``.
        patterns: attention patterns of a whole layer beside those of the blocks.
        keep: whether all blocks of a pass are kept, or one at a time.
    """
    model, dims = problem.model, problem.model.dims
    item = max(4, model.dtype.itemsize)
    width = problem.task.clean.shape[1]
    receivers = dims.n_heads + 2 * dims.n_kv_heads
    sent = 2 * dims.n_heads * dims.d_head + 3 * dims.d_model
    block = 10 * dims.d_model + 6 * (dims.d_mlp or 4 * dims.d_model)
    block += 6 * dims.n_heads * dims.d_head + 3 * dims.n_heads * width
    numbers = held * len(problem.graph.senders) * dims.d_model
    receivers += max(map(len, problem.finer.values()), default=0)
    numbers += 4 * receivers * dims.d_model + 2 * dims.n_heads * dims.d_model
    numbers += model.n_layers * sent + block * (model.n_layers if keep else 1)
    numbers += patterns * dims.n_heads * width
    return item * numbers
