"""The edges of one compiled model that matter, searched for once and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor

from residuum.circuits import Graph
from residuum.core import OptionError
from residuum.organisms.compiled.bare import POSITIONS, TOKENS, Bare
from residuum.organisms.compiled.causality import (
    Edges,
    resample_causal,
    structural,
    zero_effects,
)

KINDS = ("structural", "zero", "resample")
LENGTHS = ("longest", "all")

THRESHOLD = 1e-3
"""Change of a logit from which an edge is causal; a right answer's logit is 1."""


@dataclass(frozen=True)
class EdgeCounts:
    """How many edges of a compiled program are what.

    Attributes:
        edges: all of the graph.
        structural, zero, resample: of these, by :meth:`CompiledProgram.edges_of`.
    """

    edges: int
    structural: int
    zero: int
    resample: int


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Edges of a compiled model by kind.

    Attributes:
        hf: the model.
        graph: whose edges, and in which order.
        length: most tokens of a prompt.
        prompts: length -> ids ``[row pos]`` of every prompt of that length.
    """

    hf: Any
    graph: Graph
    length: int
    prompts: Callable[[int], Tensor]

    def edges_of(
        self, kind: str, threshold: float, lengths: str, *, split: bool = False
    ) -> np.ndarray:
        """Bool ``[edge]``; see :meth:`CompiledProgram.edges_of`."""
        if kind not in KINDS or lengths not in LENGTHS:
            raise OptionError(
                f"no edges of kind {kind!r} with lengths={lengths!r}",
                mend=f"kinds are {', '.join(KINDS)}; lengths are {', '.join(LENGTHS)}",
            )
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or threshold < 0:
            raise OptionError(
                f"threshold={threshold!r:.40}", mend="give a number of logits, at least 0"
            )
        key = (kind, threshold, lengths, split)
        if key not in self._remembered:
            edges = self._split if split else self._joint
            self._remembered[key] = self._search(edges, kind, threshold, lengths)
        return self._remembered[key].copy()

    def counts(self, lengths: str, *, split: bool) -> EdgeCounts:
        """How many edges are of every kind."""
        found = [self.edges_of(kind, THRESHOLD, lengths, split=split) for kind in KINDS]
        return EdgeCounts(len(found[0]), *(int(each.sum()) for each in found))

    def _search(self, edges: Edges, kind: str, threshold: float, lengths: str) -> np.ndarray:
        if kind == "structural":
            return structural(self._bare, edges)
        found = np.zeros(len(edges.ends), dtype=bool)
        for size in range(1 if lengths == "all" else self.length, self.length + 1):
            ids = self.prompts(size)
            if kind == "zero":
                found |= zero_effects(self._bare, edges, ids) > threshold
            else:
                found |= resample_causal(self._bare, edges, ids, threshold)
        return found

    @cached_property
    def _bare(self) -> Bare:
        return Bare(self.hf)

    @cached_property
    def _remembered(self) -> dict[Any, np.ndarray]:
        return {}

    @cached_property
    def _joint(self) -> Edges:
        """The edges of the graph, in its order."""
        senders, receivers = self.graph.senders, self.graph.receivers
        return Edges(tuple((senders[a], receivers[b]) for a, b in self.graph.edges), split=False)

    @cached_property
    def _split(self) -> Edges:
        """The same with one more for each that leaves ``embed``: from the positions."""
        both = (
            [(sender, reader), (POSITIONS, reader)] if sender == TOKENS else [(sender, reader)]
            for sender, reader in self._joint.ends
        )
        return Edges(tuple(chain.from_iterable(both)), split=True)
