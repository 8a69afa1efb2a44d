"""Which earlier run a new one goes on from, so that a toggled edit re-runs only what it changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from residuum.core import Address, Edit
from residuum.runs import Model, Run

_WRITTEN_OUT = ("scores", "pattern")


def best_base(
    model: Model, ids: Tensor, edits: Sequence[Edit], wanted: Iterable[Address], runs: Iterable[Run]
) -> Run | None:
    """The run that saves most blocks, or None where none saves any.

    This only chooses; whether and where the new run may start is the library's own decision.

    Args:
        ids: of the new run, ``[1 pos]``.
        edits: of the new run.
        wanted: sites to capture in it.
        runs: those in memory.
    """
    wanted = tuple(wanted)
    best, saved = None, 0
    for run in runs:
        mine = run.trace is not None and run.trace.ground.hf is model.hf
        if mine and torch.equal(run.ids, ids):
            layers = _shared(model, run, edits, wanted)
            if layers > saved:
                best, saved = run, layers
    return best


def _shared(model: Model, run: Run, edits: Sequence[Edit], wanted: Sequence[Address]) -> int:
    """Blocks that a new run has in common with this one."""
    differing = set(run.edits) ^ set(edits)
    if [each for each in run.edits if each in edits] != [e for e in edits if e in run.edits]:
        return 0  # the same edits in another order
    depths = [_depth(each.at) for each in differing]
    depths += [_depth(at) for at in wanted if at not in run.captured]
    asked = {at for at in wanted if at.name in _WRITTEN_OUT}
    depths += [_depth(at) for at in run.captured if at.name in _WRITTEN_OUT and at not in asked]
    return min([*depths, model.n_layers])


def _depth(address: Address) -> int:
    """Its block; 0 where that is open."""
    return address.layer if isinstance(address.layer, int) else 0
