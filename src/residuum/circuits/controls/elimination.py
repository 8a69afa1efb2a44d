"""Backward elimination: edges whose removal changes least are taken out while the rest will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.selection import pruned
from residuum.circuits.judging.evaluating import _refuse_nothing
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import shown

TOLERANCE, PART = 0.05, 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Eliminated:
    """What is left of a circuit.

    Attributes:
        kept: bool ``[edge]``.
        rounds: for each round the number of edges left, with the faithfulness under each
            reference; the first is the circuit as given.
    """

    kept: np.ndarray
    rounds: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Elimination:
    """Takes edges out of a circuit, those first that are missed least.

    Attributes:
        graph: whose edges.
        runs: by reference.
        tolerance: faithfulness may be this far from 1 under every reference, or as far as the given
            circuit's where that is further.
        part: share of the edges that may go in a round.
    """

    graph: Graph
    runs: Mapping[str, MaskedRuns]
    tolerance: float
    part: float

    def of(self, kept: np.ndarray, progress: Progress = SILENT) -> Eliminated:
        """What is left of ``[edge]``; edges that nobody reads go at once, which changes nothing."""
        given, ends = np.array(kept, dtype=bool), self._ends(kept)
        alone = self._shares(given[None], ends)[0]
        bounds = np.maximum(self.tolerance, np.abs(alone - 1) + _ROUNDING)
        rounds = [self._row(given, alone)]
        read = pruned(self.graph, given)
        left = read if read.any() else given
        progress.start("pruning", int(given.sum()))
        try:
            while left.sum() > 1:
                found = self._round(left, ends, bounds)
                if found is None:
                    break
                progress.advance(int(left.sum() - found[0].sum()))
                left = found[0]
                rounds.append(self._row(left, found[1]))
        finally:
            progress.finish()
        return Eliminated(left, tuple(rounds))

    def _ends(self, kept: np.ndarray) -> dict[str, tuple[float, float]]:
        """Mean metric of no edge, and of all less that, by reference."""
        both = np.stack([np.ones_like(kept, dtype=bool), np.zeros_like(kept, dtype=bool)])
        found = {}
        for name, runs in self.runs.items():
            full, empty = runs.metric(both)
            _refuse_nothing(full, empty, runs)
            found[name] = float(empty.mean()), float((full - empty).mean())
        return found

    def _shares(self, masks: np.ndarray, ends: dict[str, tuple[float, float]]) -> np.ndarray:
        """Faithfulness, ``[circuit reference]``."""
        columns = [
            (self.runs[name].metric(masks).mean(axis=1) - empty) / gap
            for name, (empty, gap) in ends.items()
        ]
        return np.stack(columns, axis=1)

    def _round(
        self, left: np.ndarray, ends: dict[str, tuple[float, float]], bounds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The largest part of the cheapest edges that can go, with the faithfulness of the rest."""
        edges = np.flatnonzero(left)
        singles = np.repeat(left[None], len(edges), axis=0)
        singles[np.arange(len(edges)), edges] = False
        shares = self._shares(np.concatenate([left[None], singles]), ends)
        cost = np.abs(shares[0] - shares[1:]).max(axis=1)
        order = np.argsort(cost, kind="stable")
        most = min(max(1, round(self.part * len(edges))), len(edges) - 1)
        tries = np.repeat(left[None], most, axis=0)
        for row, last in enumerate(range(1, most + 1)):
            tries[row, edges[order[:last]]] = False
        together = self._shares(tries, ends)
        fit = np.flatnonzero((np.abs(together - 1) <= bounds).all(axis=1))
        if len(fit):
            return tries[fit[-1]], together[fit[-1]]
        alone = np.abs(shares[1:][order] - 1)
        fit = np.flatnonzero((alone <= bounds).all(axis=1))
        if not len(fit):
            return None
        at = order[fit[0]]
        return singles[at], shares[1:][at]

    def _row(self, left: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
        faithful = dict(zip(self.runs, shares.tolist(), strict=True))
        return {"n_edges": int(left.sum()), "faithfulness": faithful}


def check_options(tolerance: Any, part: Any) -> None:
    """Refuse what is no share.

    Raises:
        OptionError: a number outside (0, 1], or none.
    """
    for name, given in (("tolerance", tolerance), ("part", part)):
        real = isinstance(given, (int, float)) and not isinstance(given, bool)
        if not real or not 0 < given <= 1:
            raise OptionError(
                f"{name}={shown(given)} is out of range", mend="give a number in (0, 1]"
            )
