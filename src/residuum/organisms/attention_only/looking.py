"""What a checkpoint does: attention to the right places, and loss where it matters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residuum.organisms.attention_only.sequences import draws, repeated_blocks

LOOKED_AT, LOOK_SEED = 256, 990
"""Sequences that every checkpoint is measured on, and their seed, which no training uses."""

EARLY, LATE = slice(1, 8), slice(40, 48)
"""Positions whose tokens make the early and the late loss. Before position 8 no block has ended;
from 40 on every block has been seen whole."""


def next_token_losses(logits: Tensor, ids: Tensor) -> Tensor:
    """Loss in nats of each token given those before it, ``[batch pos]``; NaN at position 0."""
    losses = cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return torch.cat([torch.full_like(losses[:, :1], torch.nan), losses], dim=1)


def after_a_match(ids: Tensor) -> Tensor:
    """Where induction looks: ``[batch q_pos k_pos]``, true where the token before key k is q's own.

    Only keys up to the query count.
    """
    before = torch.full_like(ids, -1)
    before[:, 1:] = ids[:, :-1]
    match = ids[:, :, None] == before[:, None, :]
    return match & torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()


def prefix_matching(patterns: Tensor, ids: Tensor) -> Tensor:
    """Attention that each head pays to positions after an earlier copy of the present token.

    Args:
        patterns: ``[layer batch head q_pos k_pos]``.
        ids: ``[batch pos]``.

    Returns:
        ``[layer head]``, mean over the queries that have an earlier copy; 0 to 1.
    """
    match = after_a_match(ids)
    paid = (patterns * match[None, :, None]).sum(-1)
    asked = match.any(-1)
    return (paid * asked[None, :, None]).sum((1, 3)) / asked.sum()


def uniform_matching(ids: Tensor) -> float:
    """The prefix-matching score of a head that attends to all earlier positions alike."""
    match = after_a_match(ids)
    asked = match.any(-1)
    share = match.sum(-1) / torch.arange(1, ids.shape[1] + 1)
    return float(share[asked].mean())


def previous_token(patterns: Tensor) -> Tensor:
    """Mean attention to the position before, ``[layer head]``, from position 1 on."""
    return patterns.diagonal(-1, dim1=-2, dim2=-1).mean((1, 3))


def look_at_repeats(model: Any, rows: int = LOOKED_AT, seed: int = LOOK_SEED) -> dict[str, Any]:
    """Measure a model on fresh repeated blocks.

    Args:
        model: an attention-only transformers model whose kernel hands out patterns (``eager``).
        rows: number of sequences.
        seed: which sequences.

    Returns:
        ``prefix_matching`` and ``previous_token`` by layer and head; losses in nats:
        ``early_nats``, ``late_nats``, ``icl_nats`` (late minus early, negative when context helps),
        ``first_nats`` (within the first period) and ``repeated_nats`` (tokens that follow a token
        seen before).
    """
    shape = model.config
    ids, periods = repeated_blocks(rows, draws(seed, 0), context=shape.n_ctx, d_vocab=shape.d_vocab)
    with torch.no_grad():
        out = model(ids, use_cache=False, output_attentions=True)
    losses, patterns = next_token_losses(out.logits, ids), torch.stack(out.attentions)
    place = torch.arange(shape.n_ctx)[None]
    first = (place >= 1) & (place < periods[:, None])
    early, late = losses[:, EARLY].mean().item(), losses[:, LATE].mean().item()
    return {
        "prefix_matching": _plain(prefix_matching(patterns, ids)),
        "previous_token": _plain(previous_token(patterns)),
        "early_nats": round(early, 5),
        "late_nats": round(late, 5),
        "icl_nats": round(late - early, 5),
        "first_nats": round(losses[first].mean().item(), 5),
        "repeated_nats": round(losses[place > periods[:, None]].mean().item(), 5),
    }


def _plain(scores: Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in scores.tolist()]
