"""AtP*: edge attribution with the softmax taken exactly and slopes that skip a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.chunk import Chunk, Passed
from residuum.circuits.discovery.exact import why_not_forked
from residuum.circuits.discovery.gradients import Contraction, measured
from residuum.circuits.discovery.opened import Looked, Opened
from residuum.circuits.discovery.problem import (
    FORWARD,
    DiscoveryProblem,
    need_slope,
    need_slope_at_clean,
)
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, Progress
from residuum.runs.arguments import yes_or_no

_FEWEST = 3
"""Layers from which on one can be left out and something be learned of the first."""


@dataclass(frozen=True)
class AtPStar:
    """Edge attribution patching with two corrections for effects that first order misses.

    Attributes:
        qk_correction: for edges into queries and keys the new pattern is computed, and only the way
            from the pattern on is linear: a saturated softmax has no slope.
        grad_drop: slopes are taken anew with each layer left out of the way back in turn (its skip
            connection stays), and the absolute scores are averaged: a direct and an indirect effect
            that cancel in the whole no longer do. The sign is that of their sum. Not below three
            layers: of two, leaving the later one out leaves an edge into the first its direct way
            alone, and an effect that goes through the second would be lost; a warning says so.

    Raises:
        OptionError: options of another type.

    Shows: as EAP, with fewer effects missed at saturated heads and by cancellation. Does not show:
        the effect's size (with ``grad_drop`` it is a mean over mutilated ways back), or effects
        that other saturated functions hide.

    Source: Kramár, Lieberum, Shah, Nanda 2024, "AtP*: An efficient and scalable method for
    localizing LLM behaviour to components", §3.1 and §3.2. Deviations: for edges, not nodes; the
    sign is kept.

    >>> AtPStar().record
    {'name': 'AtPStar', 'qk_correction': True, 'grad_drop': True}
    """

    qk_correction: bool = True
    grad_drop: bool = True

    def __post_init__(self) -> None:
        yes_or_no(self.qk_correction, "qk_correction")
        yes_or_no(self.grad_drop, "grad_drop")

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {
            "name": "AtPStar",
            "qk_correction": self.qk_correction,
            "grad_drop": self.grad_drop,
        }

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """A score for every edge of the problem's graph."""
        need_slope_at_clean(problem.metric)
        why = why_not_forked(problem) if self.qk_correction else ""
        if why:
            problem.warnings.append(f"no QK correction: {why}")
        correct = self.qk_correction and not why

        def work(chunk: Chunk, total: Contraction) -> np.ndarray:
            return _Ways(chunk, total, correct, drop).run()

        layers = problem.model.n_layers
        drop = self.grad_drop and layers >= _FEWEST
        if self.grad_drop and 1 < layers < _FEWEST:
            problem.warnings.append(
                f"no GradDrop: of {layers} layers, one left out leaves edges into the first only "
                "their direct way to the logits"
            )
        ways = (layers + 1) / 2 if drop else 1.0
        found = measured(
            problem,
            work,
            progress,
            "AtP*",
            held=1.5,
            patterns=ways * layers if correct else 0.0,
            explicit=correct,
        )
        record = {**self.record, "grad_drop": drop}
        return problem.scores(record, found.examples, full=found.full, empty=found.empty)


class _Ways:
    """All ways back of one chunk, whole and with a layer left out."""

    def __init__(self, chunk: Chunk, total: Contraction, correct: bool, drop: bool) -> None:
        self.chunk, self.total, self.correct, self.drop = chunk, total, correct, drop
        self.problem = chunk.problem
        self.layers = self.problem.model.n_layers
        self.rows = slice(chunk.low, chunk.high)
        self.patterns: dict[int, dict[int, Tensor]] = {i: {} for i in range(self.layers)}
        receivers = self.problem.graph.receivers
        of = [r.layer if isinstance(r.layer, int) else self.layers for r in receivers]
        self.of_edge = np.array(of)[self.problem.graph.edges[:, 1]]

    def run(self) -> np.ndarray:
        """Put the chunk's scores into the total; the clean metric ``[row]``."""
        chunk = self.chunk
        sending = chunk.sending()
        passed = chunk.forward(chunk.embed, sending=sending)
        if chunk.low == 0:
            chunk.check(passed)
        slope, values = chunk.slope(passed)
        need_slope(self.problem.metric, slope)
        whole = self._way(passed, slope, sending.values, None)
        slopes = dict(passed.slopes)
        ways: dict[int | None, np.ndarray] = {None: whole}
        if self.drop:
            for layer in range(1, self.layers):
                ways[layer] = self._way(passed, slopes[layer], sending.values, layer)
        if self.correct:
            for index, block in enumerate(passed.blocks):
                opened = block if isinstance(block, Opened) else passed.again(index, block)
                self._correct(opened, sending.values, ways)
        self.total.examples[self.rows] = self._together(ways)
        return values.numpy()

    def _way(self, passed: Passed, slope: Tensor, sent: Tensor, without: int | None) -> np.ndarray:
        """Scores ``[row edge]`` by one way back, of edges that it reaches."""
        mine = Contraction(self.problem)
        if without is None:
            mine.add(self.chunk, ("logits", None), slope[None], sent)
        below = self.layers if without is None else without
        key = self.layers if without is None else without
        for place, slopes, block in passed.back(slope, below=below, retain=True):
            mine.add(self.chunk, place, slopes, sent)
            if place[0] == "heads" and block.pattern_slope is not None:
                self.patterns[block.layer][key] = block.pattern_slope
        self.chunk.spent_back(below)
        return mine.examples[self.rows]

    def _together(self, ways: dict[int | None, np.ndarray]) -> np.ndarray:
        """Mean of absolute scores over the layers left out, with the sign of their sum."""
        whole = ways[None]
        if len(ways) == 1:
            return whole
        size, total = np.zeros_like(whole), np.zeros_like(whole)
        for layer in range(self.layers):
            reached = np.where(self.of_edge > layer, whole, ways.get(layer, 0.0))
            found = np.where(self.of_edge == layer, 0.0, reached)
            size, total = size + np.abs(found), total + found
        count = np.where(self.of_edge == self.layers, self.layers, self.layers - 1)
        return np.sign(total) * size / count

    def _correct(self, block: Opened, sent: Tensor, ways: dict[int | None, np.ndarray]) -> None:
        """Replace the scores of edges into a layer's queries and keys."""
        arriving = self.total.arriving.get(("heads", block.layer))
        if arriving is None:
            return
        dims = self.problem.model.dims
        asked = arriving.columns < dims.n_heads + dims.n_kv_heads
        slopes = self.patterns[block.layer]
        pairs = np.unique(np.c_[arriving.senders, arriving.positions][asked], axis=0)
        with torch.no_grad():
            for sender, position in pairs.tolist():
                mine = asked & (arriving.senders == sender) & (arriving.positions == position)
                change = self._placed(sent[sender], position)
                moved = _moved_patterns(self.chunk, block, change)
                self.problem.passes += self.chunk.share * FORWARD / 3 / self.layers
                for key, slope in slopes.items():
                    found = self._effects(moved, slope)
                    way = ways[None if key == self.layers else key]
                    way[:, arriving.edges[mine]] = found[arriving.columns[mine]].T

    def _effects(self, moved: tuple[Tensor, Tensor], slope: Tensor) -> np.ndarray:
        """What is lost by each query's and key's change: ``[input row]``."""
        dims = self.problem.model.dims
        queries, keys = (-(change * slope).sum(dim=(2, 3)).T for change in moved)
        grouped = keys.unflatten(0, (dims.n_kv_heads, -1)).sum(dim=1)
        return torch.cat([queries, grouped]).double().cpu().numpy()

    def _placed(self, change: Tensor, position: int) -> Tensor:
        """The change at the graph's position alone, at all columns of the prompts."""
        if self.problem.graph.positions:
            mask = self.problem.position_masks[position, self.rows, self.chunk.start :]
            change = change * torch.as_tensor(mask, device=change.device)[..., None]
        return torch.nn.functional.pad(change, (0, 0, self.chunk.start, 0))


def _moved_patterns(chunk: Chunk, block: Opened, change: Tensor) -> tuple[Tensor, Tensor]:
    """Change of the pattern when all queries, and when all keys, read less of a sender."""
    seam, layer, call = block.seam, block.layer, chunk.calls[block.layer]
    assert block.source is not None and block.pattern is not None
    stream = block.source - change.to(block.source.dtype)
    q, k, v = block.heads
    new_q, new_k, _ = seam.qkv(layer, seam.norm(layer, stream), call)
    found = []
    for heads in ((new_q, k, v), (q, new_k, v)):
        looked = Looked()
        seam.attend(layer, *heads, call, looked)
        assert looked.pattern is not None
        found.append(looked.pattern - block.pattern.detach())
    return found[0], found[1]
