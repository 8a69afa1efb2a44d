"""What a model says under a push: greedy continuations, with or without a condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from residuum.core import Add, Address
from residuum.directions.conditional import Pushing, Targets, push, single

if TYPE_CHECKING:
    from residuum.runs import Model


def generate_steered(
    model: Model,
    texts: Sequence[str],
    direction: Pushing,
    scale: float,
    targets: Targets,
    max_new_tokens: int,
) -> tuple[str, ...]:
    """Greedy continuations under the push, one prompt after the other.

    Without positions and condition every token is pushed, generated ones too; positions lie in the
    prompt; a condition is asked again after each new token.
    """
    if targets.when is None and targets.positions is None:
        site = replace(Address.parse(direction.at), pos=None)
        vector = single(direction) * float(direction.typical_norm)
        edits = [Add(site, vector, scale=scale)] if scale else []
        return model.generate(list(texts), max_new_tokens, edits=edits).texts
    return tuple(
        _continued(model, text, direction, scale, _for_row(targets, row), max_new_tokens)
        for row, text in enumerate(texts)
    )


def _for_row(targets: Targets, row: int) -> Targets:
    own = targets.positions
    if isinstance(own, (Tensor, list, tuple)):
        return replace(targets, positions=int(own[row]))
    return targets


def _continued(
    model: Model, text: str, direction: Pushing, scale: float, targets: Targets, steps: int
) -> str:
    ids = model.to_tokens(text)
    length = ids.shape[1]
    end = getattr(model.tokenizer, "eos_token_id", None)
    for _ in range(steps):
        prompt = torch.ones(1, length, dtype=torch.bool)
        if targets.positions is None:
            tokens = targets.mask(model, ids, torch.ones_like(ids, dtype=torch.bool))
        else:
            tokens = torch.zeros_like(ids, dtype=torch.bool)
            tokens[:, :length] = targets.mask(model, ids[:, :length], prompt)
        edits = [push(direction, scale, tokens)] if scale and bool(tokens.any()) else []
        chosen = model.run(ids, edits=edits).last.argmax(-1, keepdim=True).to(ids)
        ids = torch.cat([ids, chosen], dim=1)
        if end is not None and int(chosen) == end:
            break
    return model.to_string(ids[0, length:].tolist())
