"""Detectors on a task: what heads look at where the answer is read, and what they write there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.heads.logit_directions import LogitDirections
from residuum.models import Batch
from residuum.runs import Model, Task

_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class OnTask:
    """Numbers of every head on a task's clean prompts.

    Attributes:
        scores, nulls: name -> ``[layer head prompt]``.
        mean_z: layer -> ``[head d_head]`` over all tokens of the prompts.
    """

    scores: dict[str, Tensor]
    nulls: dict[str, Tensor]
    mean_z: dict[int, Tensor]


def measure_task(model: Model, task: Task, directions: LogitDirections) -> OnTask:
    """Scores and nulls on the clean prompts, name -> ``[layer head prompt]``.

    ``name_mover`` is the attention from the last token to the answer's place in the prompt,
    ``s_inhibition`` that to a later occurrence of a wrong answer; both are left out where no prompt
    holds such a place. Their null: as much attention as other tokens of the prompt get on average.
    ``task_direct``: what the head adds to answer minus wrong answer (or, without wrong answers, to
    the answer), in logits; its null takes another prompt's answers.
    """
    sums: dict[int, Tensor] = {}
    parts = [_batch(model, task, rows, directions, sums) for rows in _batches(len(task))]
    names = [name for name in parts[0] if any((~each[name][0].isnan()).any() for each in parts)]
    both = [
        {name: torch.cat([each[name][which] for each in parts], 2).double() for name in names}
        for which in (0, 1)
    ]
    tokens = int(task.lengths.sum())
    return OnTask(both[0], both[1], {layer: each / tokens for layer, each in sums.items()})


def _batches(n: int) -> Iterator[Tensor]:
    yield from torch.tensor_split(torch.arange(n), max(1, min(-(-n // _AT_ONCE), n // 2)))


def _batch(
    model: Model, task: Task, rows: Tensor, directions: LogitDirections, sums: dict[int, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    mask = None if task.attention_mask is None else task.attention_mask[rows]
    last = f"L{model.n_layers - 1}.resid_post"
    batch = Batch(task.clean[rows], mask)
    run = model.run(batch, capture=["pattern", "z", last], logits=False)
    ids, ends = task.clean[rows], task.lengths[rows] - 1
    at = torch.arange(len(rows))
    pattern = torch.stack(
        [run["pattern", i][at, :, ends].to(directions.mean).cpu() for i in range(model.n_layers)]
    )  # [layer batch head k_pos]
    places = torch.arange(ids.shape[1])[None]
    answer = _holds(ids, task.answers[rows]) & (places <= ends[:, None]) & (places > 0)
    wrong = _holds(ids, task.wrong[rows]) & (places <= ends[:, None]) & (places > 0)
    repeated = wrong & (wrong.cumsum(1) > 1)
    other = (places > 0) & (places <= ends[:, None]) & ~answer & ~wrong
    found = {
        "name_mover": _looked(pattern, answer, other),
        "s_inhibition": _looked(pattern, repeated, other),
    }
    answers, size = _answers(directions, task, rows), directions.size(run[last])[at, ends]
    direct, null = [], []
    for layer in range(model.n_layers):
        z = run["z", layer]
        sums[layer] = sums.get(layer, 0) + z[_real(task, rows)].to(directions.mean).sum(0)
        norm = size * _at(directions.post_size(layer, z), at, ends)
        seen = directions.through_heads(layer, answers)
        for kept, each in ((direct, seen), (null, seen.roll(1, 0))):
            kept.append(((z[at, ends].to(each) * each).sum(2) / norm[:, None]).T.cpu())
    found["task_direct"] = torch.stack(direct), torch.stack(null)
    return found


def _real(task: Task, rows: Tensor) -> Tensor:
    """``[batch pos]`` true at real tokens."""
    return torch.arange(task.clean.shape[1])[None] < task.lengths[rows, None]


def _at(size: Tensor | float, at: Tensor, ends: Tensor) -> Tensor | float:
    return size[at, ends] if isinstance(size, Tensor) else size


def _holds(ids: Tensor, wanted: Tensor) -> Tensor:
    """``[batch pos]`` where a prompt holds one of its wanted ids; -1 is none."""
    if not wanted.shape[1]:
        return torch.zeros_like(ids, dtype=torch.bool)
    return ((ids[:, :, None] == wanted[:, None, :]) & (wanted >= 0)[:, None]).any(2)


def _looked(pattern: Tensor, places: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Attention to the places, and to as many others, ``[layer head batch]``."""
    count = places.sum(1)
    score = torch.einsum("lbhk,bk->lhb", pattern, places.to(pattern))
    null = torch.einsum("lbhk,bk->lhb", pattern, other.to(pattern))
    null = null * count / other.sum(1).clamp_min(1)
    none = torch.tensor(torch.nan)
    return torch.where(count > 0, score, none), torch.where(count > 0, null, none)


def _answers(directions: LogitDirections, task: Task, rows: Tensor) -> Tensor:
    """``[batch d_model]``: mean answer less mean wrong answer."""
    made = _mean_direction(directions, task.answers[rows])
    wrong = task.wrong[rows]
    return made - _mean_direction(directions, wrong) if wrong.shape[1] else made


def _mean_direction(directions: LogitDirections, ids: Tensor) -> Tensor:
    real = (ids >= 0).to(directions.mean)[..., None]
    each = directions.of_tokens(ids.clamp_min(0))
    return (each * real).sum(1) / real.sum(1).clamp_min(1)
