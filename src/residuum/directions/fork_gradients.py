"""Answers after an edit, with gradients: one base run, and behind it the edited tokens alone.

The same blocks as :func:`residuum.directions.answers.answers_of` runs without gradients, called
through the model's seam, so that the gradient of an answer reaches the edited values.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.core import Address, AddressError
from residuum.directions.answers import Part
from residuum.models import AttentionCall, LayerCall, final_logits
from residuum.runs import Forks


def answers_with_gradients(
    at: Address,
    part: Part,
    some: Int[Tensor, " row"],
    values: Float[Tensor, "draw 2 row column d"],
) -> Float[Tensor, "draw 2 row"]:
    """The metric, larger made better, after each of several edits of some of a part's pairs.

    Args:
        at: the site, in the stream.
        part: of the task; see :func:`residuum.directions.answers.parts_of`.
        some: which of the part's pairs.
        values: what the site holds after the edits, at the part's columns.

    Raises:
        AddressError: the site is not one that can be continued from a base run.
    """
    forks = part.forks
    if forks is None:
        raise AddressError(
            f"{at} cannot be continued from a base run",
            mend='give a site of the stream, such as "L2.resid_post@-1"',
        )
    draws, n = len(values), len(part.rows)
    rows = torch.cat([some, n + some]).repeat(draws)
    with forks.adapted.passing():
        stream = _last_stream(at, part, forks, rows, values.flatten(0, 2))
    reader = part.reader
    logits = final_logits(forks.adapted.parts, stream[:, -1], reader.tokens)
    found = reader.metric(logits.double(), reader.ids, rows=rows % n)
    return (found if reader.metric.larger_is_better else -found).unflatten(0, (draws, 2, -1))


def _last_stream(
    at: Address, part: Part, forks: Forks, rows: Tensor, stream: Float[Tensor, "row column d"]
) -> Float[Tensor, "row pos d"]:
    """What the blocks behind the site make of it, from the first position written on."""
    layer = at.layer if isinstance(at.layer, int) else 0
    call = forks.base.calls[layer]
    kept = call.stream if at.name == "resid_pre" else call.output
    if at.name == "resid_mid":
        stream = stream + forks.adapted.seam.mlp(layer, stream)
    if part.columns.stop < part.length:
        stream = torch.cat([stream, kept[rows, part.columns.stop :]], dim=1)
    for each in range(layer + (at.name != "resid_pre"), len(forks.base.calls)):
        stream = _block(forks, each, rows, part.columns.start, stream)
    return stream


def _block(forks: Forks, layer: int, rows: Tensor, start: int, stream: Tensor) -> Tensor:
    """One block on the positions from ``start`` on, the base run's keys and values before them."""
    seam, base = forks.adapted.seam, forks.base
    given = {name: _cut(forks, value, rows, start)
             for name, value in base.calls[layer].call.kwargs.items()}  # fmt: skip
    call = LayerCall(given, AttentionCall())
    q, k, v = seam.qkv(layer, seam.norm(layer, stream), call)
    k, v = (
        torch.cat([kept[layer][rows, :start], own], dim=1)
        for kept, own in ((base.keys, k), (base.values, v))
    )
    if call.attention.mask is None and start:
        key = torch.arange(k.shape[1], device=k.device)
        call.attention.mask = (key[None] <= key[start:, None])[None, None]
    z = seam.attend_natively(layer, q, k, v, call)
    return seam.rest(layer, stream, seam.out(layer, z))


def _cut(forks: Forks, value: Any, rows: Tensor, start: int) -> Any:
    """An argument of a block, cut to some rows and the positions from ``start`` on."""
    if isinstance(value, tuple):
        return tuple(_cut(forks, each, rows, start) for each in value)
    if not isinstance(value, Tensor) or value.ndim < 2:
        return value
    mine = value if len(value) == 1 else value[rows]
    if value.ndim == 4:  # a mask: [batch head q_pos k_pos]
        return mine[..., start:, :]
    return mine[:, start:] if value.shape[1] == forks.width else mine
