"""A circuit as a lever: its edges alone, or all but its edges, with other values elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from residuum.circuits import Circuit, MaskedRuns, random_circuits, text_task
from residuum.core import OptionError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.removing import need_other_donors
from residuum.findings.chain.texts import Texts
from residuum.findings.record.mechanism import Kind
from residuum.findings.record.part_evidence import MEAN, RESAMPLE, SWAP, ZERO
from residuum.runs import Task

REFERENCES = {SWAP: "counterfactual", MEAN: "mean", RESAMPLE: "resample", ZERO: "zero"}
"""Way of removal -> what edges carry instead of the run's own value."""
PREFIXES = 64
"""Beginnings of texts whose next token is foretold: each is a prompt of its own."""


@dataclass(frozen=True, eq=False)
class CircuitLever:
    """A circuit; see :class:`Lever`.

    Attributes:
        circuit: its graph and its edges.
        parts: heads and MLPs that it touches.
    """

    circuit: Circuit
    parts: tuple[str, ...]
    kind: Kind = "circuit"
    ways: tuple[str, ...] = (SWAP, MEAN)
    every_way: tuple[str, ...] = (SWAP, MEAN, RESAMPLE, ZERO)
    _last: dict[tuple[int, str], tuple[Bench, MaskedRuns]] = field(default_factory=dict)

    def allowed(self, task: Task) -> Task:
        """All pairs."""
        return task

    def moves(self, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
        """What its edges alone do beyond the corrupt prompt, and what is lost without them."""
        alone, without = self._values(bench, SWAP, np.stack([self._kept, ~self._kept]))
        return alone - bench.corrupt, bench.clean - without

    def logits(self, bench: Bench) -> tuple[Tensor, Tensor]:
        """Of the empty circuit, which is the corrupt prompt, and of the circuit alone."""
        runs = self._runs(bench, SWAP)
        empty, alone = runs.logits(np.stack([np.zeros_like(self._kept), self._kept]))
        return empty, alone

    def cost(self, bench: Bench, how: str) -> np.ndarray:
        """Lost where its edges carry another value than the run's own."""
        if how == RESAMPLE:
            need_other_donors(bench)
        return bench.clean - self._values(bench, how, ~self._kept[None])[0]

    def random_costs(self, bench: Bench, how: str, count: int) -> list[np.ndarray]:
        """The same for connected random circuits of its size."""
        drawn = self._drawn(count, bench.seed)
        if not len(drawn):
            return []
        return list(bench.clean - self._values(bench, how, ~drawn))

    def text_losses(self, bench: Bench, texts: Texts, sets: int) -> np.ndarray:
        """Its edges at their mean over the prompts, which are beginnings of the texts."""
        task = text_task(bench.model, [list(row) for row in texts.rows], PREFIXES, bench.seed)
        runs = MaskedRuns(bench.model, self.circuit.graph, task, "mean", seed=bench.seed)
        whole = np.ones_like(self._kept)[None]
        drawn = self._drawn(sets, bench.seed)
        values = runs.metric(np.concatenate([whole, ~self._kept[None], ~drawn]))
        _, owner = np.unique(np.asarray(task.templates), return_inverse=True)
        return np.stack([np.bincount(owner, row) / np.bincount(owner) for row in values])

    @property
    def _kept(self) -> np.ndarray:
        return self.circuit.kept

    def _drawn(self, count: int, seed: int) -> np.ndarray:
        graph = self.circuit.graph
        try:
            drawn = random_circuits(graph, self.circuit.n_edges, count, seed=seed)
        except OptionError:  # there is no other connected circuit of this size
            return np.empty((0, graph.n_edges), dtype=bool)
        drawn = np.unique(drawn, axis=0)
        return drawn[(drawn != self._kept).any(axis=1)]

    def _values(self, bench: Bench, how: str, kept: np.ndarray) -> np.ndarray:
        """The metric, larger is more of the behaviour, ``[circuit example]``."""
        sign = 1.0 if bench.metric.larger_is_better else -1.0
        return sign * self._runs(bench, how).metric(kept)

    def _runs(self, bench: Bench, how: str) -> MaskedRuns:
        """Masked runs on these pairs; the last are kept, since they are asked again."""
        key = id(bench), how
        if key not in self._last:
            runs = MaskedRuns(
                bench.model, self.circuit.graph, bench.task, REFERENCES[how], seed=bench.seed
            )
            self._last.clear()
            self._last[key] = bench, runs
        return self._last[key][1]
