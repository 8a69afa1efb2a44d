"""A world of skip-trigrams: ``A … B → C``, whatever stands between A and B."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residuum.organisms.attention_only.sequences import draws

SOURCES, CUES = 12, 2
"""Tokens A (ids 0–11) and tokens B (12, 13); C is ``14 + 2 A + (B − 12)``; the rest is filler."""

_FIRST_ANSWER = SOURCES + CUES
_FIRST_FILLER = _FIRST_ANSWER + SOURCES * CUES
GAPS = range(2, 26)
"""Distances from A to B that the data knows."""


def answer_to(source: Tensor, cue: Tensor) -> Tensor:
    """The token C that follows cue B when A stood before."""
    return _FIRST_ANSWER + CUES * source + (cue - SOURCES)


def held_out(source: Tensor, cue: Tensor, gap: Tensor) -> Tensor:
    """Whether training never shows this source, this cue and this distance together.

    One in four distances of each pair of source and cue.
    """
    return (gap + 3 * source + 5 * (cue - SOURCES)) % 4 == 0


def trigram_sequences(
    rows: int,
    generator: torch.Generator,
    *,
    context: int = 32,
    d_vocab: int = 64,
    test: bool = False,
) -> tuple[Tensor, Tensor]:
    """Random filler with one A, and later one B with its C behind it.

    Args:
        rows: number of sequences.
        generator: source of chance.
        context: tokens in a sequence.
        d_vocab: tokens; those past the answers are filler.
        test: take the held-out distances, which are otherwise avoided.

    Returns:
        Token ids ``[rows, context]`` and the position of B ``[rows]``.

    >>> ids, cue = trigram_sequences(1, draws(0, 0))
    >>> a = ids[0][ids[0] < SOURCES][0]
    >>> bool(ids[0, cue[0] + 1] == answer_to(a, ids[0, cue[0]]))
    True
    """
    fillers = d_vocab - _FIRST_FILLER

    def whole(high: int) -> Tensor:
        return torch.randint(high, (rows,), generator=generator)

    ids = _FIRST_FILLER + torch.randint(fillers, (rows, context), generator=generator)
    source, cue = whole(SOURCES), SOURCES + whole(CUES)
    gaps = torch.arange(GAPS.start, GAPS.stop)
    allowed = held_out(source[:, None], cue[:, None], gaps[None]) == test
    gap = gaps[torch.multinomial(allowed.float(), 1, generator=generator)[:, 0]]
    start = (torch.rand(rows, generator=generator) * (context - 1 - gap)).long()
    row = torch.arange(rows)
    ids[row, start], ids[row, start + gap] = source, cue
    ids[row, start + gap + 1] = answer_to(source, cue)
    return ids, start + gap


def look_at_trigrams(model: Any, rows: int = 512, seed: int = 990) -> dict[str, Any]:
    """Measure a model on sequences whose source, cue and distance no training batch held.

    Args:
        model: any causal model over these tokens.
        rows: number of sequences.
        seed: which sequences.

    Returns:
        ``accuracy`` and ``answer_nats`` at B, and ``accuracy_without`` where A is replaced by
        filler: then C can only be guessed (1 in 12).
    """
    shape = model.config
    ids, place = trigram_sequences(
        rows, draws(seed, 0), context=shape.n_ctx, d_vocab=shape.d_vocab, test=True
    )
    row = torch.arange(rows)
    right = ids[row, place + 1]
    without = torch.where(ids < SOURCES, torch.full_like(ids, _FIRST_FILLER), ids)
    with torch.no_grad():
        with_a = model(ids, use_cache=False).logits[row, place]
        without_a = model(without, use_cache=False).logits[row, place]
    return {
        "accuracy": round((with_a.argmax(-1) == right).float().mean().item(), 5),
        "answer_nats": round(cross_entropy(with_a, right).item(), 5),
        "accuracy_without": round((without_a.argmax(-1) == right).float().mean().item(), 5),
    }
