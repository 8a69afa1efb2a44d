"""What approximations of a sweep work from: both runs' values, gradients, sums by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from residuum.core import SITES, Address, Patch
from residuum.models import Batch
from residuum.runs import Metric, Model, Task
from residuum.runs.sweeping.grid import Grid

_TOKENS_AT_ONCE = 1024
_FORWARD, _WITH_BACKWARD = 1.0, 3.0


@dataclass(frozen=True)
class Passed:
    """What passes over a batch left behind.

    Attributes:
        values: whole site -> its tensor.
        grads: whole site -> gradient of the sum of the metric over prompts; row by row that of
            each prompt's own metric, for prompts of one batch do not touch each other.
        metric: ``[batch]``; empty where the passes stopped before the logits.
    """

    values: dict[Address, Tensor]
    grads: dict[Address, Tensor]
    metric: np.ndarray


@dataclass
class Problem:
    """One sweep to approximate.

    Attributes:
        source: prompts that the values come from.
        target: prompts that receive them, and whose metric is predicted.
        tokens_at_once: rows × positions in one pass.
        passes: forward-pass equivalents spent; one with gradients counts as three.
    """

    model: Model
    task: Task
    grid: Grid
    source: Batch
    target: Batch
    measure: Metric
    tokens_at_once: int = _TOKENS_AT_ONCE
    passes: float = field(default=0.0, init=False)

    def sites(self, name: str = "") -> list[Address]:
        """A whole site of every layer swept; the grid's own by default."""
        return [Address(name or self.grid.site, layer) for layer in self.grid.layers]

    @cached_property
    def given(self) -> Passed:
        """The site of every layer swept, and the metric, on the source prompts."""
        return self.run(self.source, self.sites())

    @cached_property
    def base(self) -> Passed:
        """The same on the target prompts."""
        return self.run(self.target, self.sites())

    def change(self, at: Address) -> Tensor:
        """Donor minus base at a site, in at least float32."""
        given, base = self.given.values[at], self.base.values[at]
        work = torch.promote_types(base.dtype, torch.float32)
        return given.to(work) - base.to(work)

    def gradients(
        self, at: Sequence[Address], put: Mapping[Address, Tensor] | None = None
    ) -> dict[Address, Tensor]:
        """Gradients of the target prompts' metric at sites, with other values put in."""
        return self.run(self.target, at, put, grad=True).grads

    def run(
        self,
        batch: Batch,
        at: Sequence[Address],
        put: Mapping[Address, Tensor] | None = None,
        *,
        grad: bool = False,
        logits: bool = True,
    ) -> Passed:
        """Passes over a batch, some rows at a time.

        Args:
            at: whole sites to keep.
            put: whole site -> tensor written there.
            grad: also take the metric's gradients at ``at``.
            logits: False leaves the metric out and stops after the last site.
        """
        self.passes += _WITH_BACKWARD if grad else _FORWARD
        done = [self._run_rows(batch, at, put or {}, rows, grad, logits) for rows in self._rows()]
        return Passed(
            {a: torch.cat([each.values[a] for each in done]) for a in at},
            {a: torch.cat([each.grads[a] for each in done]) for a in at if grad},
            np.concatenate([each.metric for each in done]),
        )

    def _rows(self) -> Iterator[range]:
        prompts, width = self.target.ids.shape
        size = max(1, self.tokens_at_once // width)
        return (range(i, min(i + size, prompts)) for i in range(0, prompts, size))

    def _run_rows(
        self,
        batch: Batch,
        at: Sequence[Address],
        put: Mapping[Address, Tensor],
        rows: range,
        grad: bool,
        logits: bool,
    ) -> Passed:
        chunk = batch.rows(rows.start, rows.stop)
        ends = chunk.starts + chunk.lengths - 1

        def metric(logits: Tensor) -> Tensor:
            own = torch.arange(len(ends), device=logits.device)
            last = logits[own, ends.to(logits.device)].cpu().double()
            return self.measure(last, self.task, rows=list(rows))

        run = self.model.run(
            chunk,
            capture=list(at),
            edits=[Patch(a, value[rows.start : rows.stop]) for a, value in put.items()],
            logits=logits,
            grad_of=metric if grad else None,
        )
        if run.logits is None:
            found = np.zeros(0)
        else:
            with torch.no_grad():
                found = metric(run.logits).numpy()
        return Passed({a: run[a] for a in at}, {a: run.grad[a] for a in at if grad}, found)

    def assemble(self, layers: Sequence[np.ndarray]) -> np.ndarray:
        """Cells of each layer as ``[...by example]``; NaN where no cell is possible."""
        every = np.stack(layers, axis=self.grid.by.index("layer"))
        found = np.full_like(every, np.nan)
        for index, _ in self.grid.cells():
            found[index] = every[index]
        return found

    def cells(self, terms: Tensor, dims: tuple[str, ...] = ()) -> np.ndarray:
        """Terms at one layer's site, summed into the grid's cells.

        Args:
            terms: one term for each number of the site.
            dims: its axes by name; the site's own by default.

        Returns:
            ``[...by without layer, example]``.
        """
        dims = dims or SITES[self.grid.site].dims
        kept = []
        for axis, chosen in zip(self.grid.by, self.grid.coords, strict=True):
            if axis != "layer":
                kept.append(axis_in(dims, axis))
                terms = terms.index_select(kept[-1], torch.tensor(chosen, device=terms.device))
        order = [*kept, dims.index("batch")]
        rest = [axis for axis in range(len(dims)) if axis not in order]
        by_cell = terms.permute(*order, *rest)
        if rest:
            by_cell = by_cell.flatten(len(order)).sum(dim=-1)
        return by_cell.cpu().double().numpy()


def axis_in(dims: tuple[str, ...], axis: str) -> int:
    """Index, among a tensor's dims, of a grid's axis.

    >>> axis_in(("batch", "head", "q_pos", "k_pos"), "pos")
    2
    """
    name = {"neuron": "d_mlp"}.get(axis, axis)
    return dims.index("q_pos" if name == "pos" and "pos" not in dims else name)
