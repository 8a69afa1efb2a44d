"""Distributions over the vocabulary, a few positions at a time: what a lens shows of each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.lenses.logit_lens import unembed
from residuum.runs import Model

AT_ONCE = 2**22
"""Logits held at once: positions × vocabulary."""

UNITS = {
    "prob": "probability",
    "rank": "rank, 1 is the most likely",
    "entropy": "bits",
    "kl": "bits",
    "logit": "logits above the mean of the vocabulary",
}
OF_TOKEN = ("prob", "rank", "logit")
"""Quantities that are of one token."""


@dataclass(frozen=True)
class Asked:
    """What to read.

    Attributes:
        quantity: a key of :data:`UNITS`.
        targets: ``[pos token]`` whose quantity is asked for; one column for a whole distribution's.
        top: likely tokens to keep.
        follow: ``[row pos top]`` tokens whose probabilities are asked for instead of the likeliest.
    """

    quantity: str
    targets: Tensor
    top: int = 0
    follow: Tensor | None = None


@dataclass
class Readings:
    """What was read: ``value [row pos token]``, ``top_ids`` and ``top_probs`` ``[row pos top]``."""

    value: Tensor
    top_ids: Tensor
    top_probs: Tensor


@dataclass
class _Row:
    value: list[Tensor] = field(default_factory=list)
    ids: list[Tensor] = field(default_factory=list)
    probs: list[Tensor] = field(default_factory=list)


def read(model: Model, streams: Sequence[Tensor], last: Tensor, asked: Asked) -> Readings:
    """Read streams ``[pos d_model]`` through the final norm and the unembedding.

    Args:
        last: the last stream, of the output that KL is measured from.
    """
    size = max(1, AT_ONCE // model.d_vocab)
    rows = [_Row() for _ in streams]
    for start in range(0, len(last), size):
        at = slice(start, start + size)
        ends = _logits(model, last[at]).log_softmax(-1) if asked.quantity == "kl" else None
        for number, (stream, row) in enumerate(zip(streams, rows, strict=True)):
            logits = _logits(model, stream[at])
            mass = logits.logsumexp(-1, keepdim=True)
            row.value.append(_quantity(logits, mass, ends, asked.quantity, asked.targets[at]))
            if asked.follow is not None:
                ids = asked.follow[number, at]
                kept = logits.gather(-1, ids.long())
            else:
                kept, ids = logits.topk(asked.top, dim=-1)
            row.ids.append(ids)
            row.probs.append((kept - mass).exp())
    return Readings(
        torch.stack([torch.cat(row.value) for row in rows]),
        torch.stack([torch.cat(row.ids) for row in rows]),
        torch.stack([torch.cat(row.probs) for row in rows]),
    )


def predictions(model: Model, last: Tensor) -> Tensor:
    """The model's own most likely next token at each position of its last stream, ``[pos]``."""
    size = max(1, AT_ONCE // model.d_vocab)
    return torch.cat([_logits(model, each).argmax(-1) for each in last.split(size)])


def _logits(model: Model, stream: Tensor) -> Tensor:
    """``[pos d_vocab]``, float32 at least, on the CPU."""
    logits = unembed(model, stream)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).cpu()


def _quantity(
    logits: Tensor, mass: Tensor, ends: Tensor | None, quantity: str, targets: Tensor
) -> Tensor:
    """``[pos token]``; the same in every column for what is of the whole distribution."""
    if quantity in OF_TOKEN:
        own = logits.gather(-1, targets)
        if quantity == "prob":
            return (own - mass).exp()
        if quantity == "logit":
            return own - logits.mean(-1, keepdim=True)
        above = [(logits > each[:, None]).sum(-1) for each in own.unbind(-1)]
        return 1 + torch.stack(above, -1).to(logits)
    logs = logits - mass
    other = 0 if ends is None else ends
    total = (logs.exp() * (logs - other)).sum(-1, keepdim=True) / math.log(2)
    return (total if quantity == "kl" else -total).expand_as(targets)
