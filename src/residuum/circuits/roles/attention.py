"""Where heads look on the task's clean prompts, from the positions where they work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.graph.positions import position_masks
from residuum.circuits.roles.part_role import HeadAttention
from residuum.circuits.roles.places import places_of
from residuum.core import Address
from residuum.models import Batch
from residuum.runs import Model, Task, bootstrap_mean_intervals

_AT_ONCE = 16
_LEAST_PAIRS = 0.5
"""Share of the pairs that must have such a place."""


def attention_of(
    model: Model,
    task: Task,
    heads: Sequence[Address],
    positions: Sequence[str],
    least: float,
    seed: int,
) -> dict[Address, tuple[HeadAttention, ...]]:
    """Every head's attention from each position to each kind of place; kinds that are absent none.

    Args:
        heads: ``L{l}.head_out[H{h}]``.
        positions: of a graph, a partition of the tokens.
        least: share of attention beyond the null from which on a kind holds.
        seed: of the intervals.
    """
    if not heads:
        return {}
    masks = torch.as_tensor(position_masks(task, positions))
    named = [name for name in positions if name in task.positions]
    parts = [
        _shares(model, task, rows.tolist(), heads, masks[:, rows], named)
        for rows in torch.arange(len(task)).split(_AT_ONCE)
    ]
    shares = {kind: torch.cat([each[0][kind] for each in parts], 2).numpy() for kind in parts[0][0]}
    nulls = {kind: torch.cat([each[1][kind] for each in parts], 1).numpy() for kind in parts[0][1]}
    return {
        head: _records(number, positions, shares, nulls, least, seed)
        for number, head in enumerate(heads)
    }


def _shares(
    model: Model,
    task: Task,
    rows: list[int],
    heads: Sequence[Address],
    masks: Tensor,
    named: Sequence[str],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of some examples: kind -> ``[head position example]``, and nulls ``[position example]``."""
    mask = None if task.attention_mask is None else task.attention_mask[rows]
    layers = sorted({int(head.layer) for head in heads if isinstance(head.layer, int)})
    run = model.run(
        Batch(task.clean[rows], mask), capture=[f"L{i}.pattern" for i in layers], logits=False
    )
    pattern = torch.stack([_of_head(run[f"L{h.layer}.pattern"], h) for h in heads])
    places = places_of(task, rows, named)
    flat = 1.0 / torch.arange(1, masks.shape[-1] + 1, dtype=torch.float64)
    shares, nulls = {}, {}
    for kind, place in places.items():
        asks = masks & place.any(2)  # [position example q_pos]
        count = asks.sum(2)
        looked = torch.einsum("hbqk,bqk->hbq", pattern, place.double())
        expected = place.sum(2) * flat
        shares[kind] = torch.einsum("hbq,pbq->hpb", looked, asks.double()) / count
        nulls[kind] = (expected * asks).sum(2) / count
    return shares, nulls


def _of_head(pattern: Tensor, head: Address) -> Tensor:
    assert isinstance(head.part, int)
    return pattern[:, head.part].detach().cpu().double()


def _records(
    head: int,
    positions: Sequence[str],
    shares: Mapping[str, np.ndarray],
    nulls: Mapping[str, np.ndarray],
    least: float,
    seed: int,
) -> tuple[HeadAttention, ...]:
    found = []
    for at, position in enumerate(positions):
        for kind in shares:
            values, null = shares[kind][head, at], nulls[kind][at]
            there = np.isfinite(values)
            if not there.any() or there.mean() < _LEAST_PAIRS:
                continue
            mean, by_chance = float(values[there].mean()), float(null[there].mean())
            low, high = (
                float(e[0]) for e in bootstrap_mean_intervals(values[there][None], seed=seed)
            )
            holds = mean - by_chance >= least and low > by_chance
            found.append(
                HeadAttention(position, kind, mean, low, high, by_chance, int(there.sum()), holds)
            )
    return tuple(found)
