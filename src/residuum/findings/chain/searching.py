"""The search for parts, on any rows of a task, from one sweep over all of its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from residuum.core import SILENT, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.choosing import choose_parts
from residuum.findings.chain.replacement import gained, lost, other_side, share_of
from residuum.findings.chain.where_stage import has_mlps
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.patching import Sweep, patch


class Search:
    """Chooses parts on some rows and measures parts on others; nothing is computed twice.

    Args:
        bench: all pairs.
        spend: how many parts are named at most.
        progress: told of the sweeps.
    """

    def __init__(self, bench: Bench, spend: Budget, progress: Progress = SILENT) -> None:
        self.bench, self.spend, self.progress = bench, spend, progress
        self._sweeps: tuple[Sweep, Sweep | None] | None = None
        self._effects: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    def chosen(self, rows: Sequence[int]) -> tuple[str, ...]:
        """What the chain names on these rows."""
        if self._sweeps is None:
            self._sweeps = self._swept()
        heads, mlps = self._sweeps
        here = Bench(self.bench.model, self.bench.task.subset(rows), self.bench.seed)
        found = choose_parts(
            here, self._of(heads, rows), None if mlps is None else self._of(mlps, rows), self.spend
        )
        return tuple(at for at, _ in found)

    def measured(self, parts: Sequence[str], rows: Sequence[int]) -> tuple[Estimate, Estimate]:
        """What these parts recover and lose on these rows, as shares of the distance."""
        key = tuple(sorted(parts))
        if key not in self._effects:
            gain = gained(self.bench, other_side(self.bench, key, "corrupt"))
            self._effects[key] = gain, lost(self.bench, other_side(self.bench, key, "clean"))
        gain, loss = self._effects[key]
        at = np.asarray(rows)
        return share_of(self.bench, gain, at), share_of(self.bench, loss, at)

    def _swept(self) -> tuple[Sweep, Sweep | None]:
        model, task = self.bench.model, self.bench.task
        heads = patch(model, task, "z", ("layer", "head"), progress=self.progress)
        if not has_mlps(self.bench):
            return heads, None
        return heads, patch(model, task, "mlp_out", ("layer",), progress=self.progress)

    def _of(self, sweep: Sweep, rows: Sequence[int]) -> Sweep:
        """The sweep, of some rows only."""
        at = list(rows)
        each = sweep.per_example.isel(example=at)
        effects = each.mean("example", skipna=False)
        distance = float((self.bench.clean - self.bench.corrupt)[at].mean())
        return replace(
            sweep,
            per_example=each,
            effects=effects,
            recovered_frac=effects / distance if distance else effects * np.nan,
            clean=sweep.clean[at],
            corrupt=sweep.corrupt[at],
            clusters=tuple(sweep.clusters[i] for i in at) if sweep.clusters else (),
        )


def jaccard(first: Sequence[str], second: Sequence[str]) -> float:
    """What two sets share, over all of both; NaN where both are empty.

    >>> jaccard(["a", "b"], ["b", "c"])
    0.333...
    """
    one, two = set(first), set(second)
    return len(one & two) / len(one | two) if one | two else float("nan")
