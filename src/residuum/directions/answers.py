"""Answers after edits of a site: forks of one base run, prompts of one length at a time.

A prompt whose stream is edited at one token is computed from that token and block on alone. Where a
model or a site cannot be forked, passes go on from the edited block of a base run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.core import Address, Patch
from residuum.models import Batch
from residuum.runs import (
    CannotFork,
    Change,
    Forks,
    Model,
    Run,
    Task,
    metric_named,
    outer_bound,
)
from residuum.runs.sweeping.reader import AnswerReader

_STREAM = ("resid_pre", "resid_mid", "resid_post")
_TOKENS_AT_ONCE = 8192
_KEYS_AT_ONCE = 65536


@dataclass(frozen=True, eq=False)
class Part:
    """The pairs of one length.

    Attributes:
        rows: ``[row]``, which of the task's pairs.
        columns: positions that are written to, in every prompt of this part.
        task: these pairs.
        reader: of their answers.
        forks: of the base run of both sides, clean first; None where passes are whole.
    """

    rows: Int[Tensor, " row"]
    columns: slice
    task: Task
    reader: AnswerReader
    forks: Forks | None

    @property
    def length(self) -> int:
        """Tokens of each prompt."""
        return self.task.clean.shape[1]

    @property
    def at_once(self) -> int:
        """How many edits fit into one batch."""
        run = self.length - (self.columns.start if self.forks else 0)
        prompts = 2 * len(self.rows)
        most = min(_TOKENS_AT_ONCE // run, _KEYS_AT_ONCE // self.length)
        return max(1, most // prompts)


Edited = Callable[[Part, slice], Float[Tensor, "draw 2 row column d"]]
"""Values at a part's rows and columns, for a range of edits."""


def parts_of(model: Model, at: Address, task: Task, forked: bool = True) -> tuple[Part, ...]:
    """A task's pairs by length, each with its base run.

    Args:
        at: a site of one layer, with the one position that is written to, or none for all.
        task: contrast pairs that have that position.
        forked: False leaves the base runs out.
    """
    metric, found = metric_named(task.metric), []
    for length in task.lengths.unique().tolist():
        rows = (task.lengths == length).nonzero()[:, 0]
        mine = task.subset(rows)
        start = at.pos % length if isinstance(at.pos, int) else 0
        columns = slice(start, length if at.pos is None else start + 1)
        reader = AnswerReader(model, mine, metric)
        forks = _forks(model, at, mine, start) if forked else None
        found.append(Part(rows, columns, mine, reader, forks))
    return tuple(found)


def _forks(model: Model, at: Address, task: Task, start: int) -> Forks | None:
    """The base run, where forks of it are proven to equal full passes."""
    if at.name not in _STREAM or at.part is not None:
        return None
    sites = [replace(at, pos=None)] if at.name == "resid_mid" else []
    try:
        forks = Forks(model.adapted, Batch(torch.cat([task.clean, task.corrupt])), sites)
    except CannotFork:
        return None
    if sites and not _mid_proven(model, forks, sites[0]):
        return None
    forks.short_last_block &= model.adapted.seam_proven
    sound = forks.causal and not forks.proven(outer_bound(model.dtype), start)
    return forks if sound else None


def _mid_proven(model: Model, forks: Forks, site: Address) -> bool:
    """Whether a block's output is its middle stream and what its MLP makes of that."""
    if site not in forks.base.sites or not model.adapted.seam_proven:
        return False
    mid, layer = forks.base.sites[site], _layer(site)
    out = forks.base.calls[layer].output
    with torch.no_grad(), model.adapted.passing():
        gap = (mid + model.adapted.seam.mlp(layer, mid) - out).abs().max()
    return bool(gap <= outer_bound(model.dtype) * out.abs().max())


def _layer(at: Address) -> int:
    return at.layer if isinstance(at.layer, int) else 0


def answers_of(
    model: Model, at: Address, parts: tuple[Part, ...], edited: Edited, draws: int
) -> Float[Tensor, "draw 2 pair"]:
    """The metric, larger made better, after each of several edits of both sides.

    Args:
        at: the site.
        parts: see :func:`parts_of`.
        edited: the site's values after the edits.
        draws: how many edits there are.
    """
    n = sum(len(part.rows) for part in parts)
    found = torch.empty(draws, 2, n, dtype=torch.float64)
    for part in parts:
        base: Run | None = None
        for low in range(0, draws, part.at_once):
            some = slice(low, min(low + part.at_once, draws))
            values = edited(part, some)
            if part.forks is None:
                base = _base(model, at, part, len(values), base)
                metric = _whole(model, at, part, values, base)
            else:
                metric = _forked(at, part, part.forks, values)
            found[some, :, part.rows] = metric
    return found if metric_named(parts[0].task.metric).larger_is_better else -found


def _forked(at: Address, part: Part, forks: Forks, values: Tensor) -> Tensor:
    """By forks that start at the first position written."""
    draws, _, n, columns, d = values.shape
    rows = torch.arange(2 * n).repeat(draws)
    layer = _layer(at)
    call = forks.base.calls[layer]
    kept = call.stream if at.name == "resid_pre" else call.output
    stream = values.reshape(-1, columns, d).to(kept)
    if at.name == "resid_mid":
        with torch.no_grad(), forks.adapted.passing():
            stream = stream + forks.adapted.seam.mlp(layer, stream)
    if part.columns.stop < part.length:
        stream = torch.cat([stream, kept[rows, part.columns.stop :]], dim=1)
    first = layer + (at.name != "resid_pre")
    last = forks.finish(Change(first, part.columns.start, rows, stream))
    return torch.from_numpy(part.reader.values(last, rows % n)).reshape(draws, 2, n)


def _base(model: Model, at: Address, part: Part, draws: int, had: Run | None) -> Run:
    """A base run of as many copies of the prompts; the one that is there, if it fits."""
    ids = torch.cat([part.task.clean, part.task.corrupt]).repeat(draws, 1)
    if had is not None and len(had.ids) == len(ids):
        return had
    stream = Address("resid_pre", at.layer)
    known = at.layer is not None and stream not in model.adapted.refused
    return model.run(ids, capture=[stream] if known else None)


def _whole(model: Model, at: Address, part: Part, values: Tensor, base: Run) -> Tensor:
    """By passes that go on from the base run."""
    draws, _, n, columns, d = values.shape
    place = at if columns == part.length else replace(at, pos=part.columns.start)
    value = values.reshape(-1, columns, d) if columns == part.length else values.reshape(-1, d)
    run = model.run(base.ids, edits=[Patch(place, value)], after=base)
    rows = torch.arange(n).repeat(2 * draws)
    return part.reader.metric(run.last.detach().double().cpu(), part.task, rows).reshape(
        draws, 2, n
    )
