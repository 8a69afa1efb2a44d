"""The text that a fit check runs on, and what the model holds there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.core import Address, TokenError
from residuum.dictionaries.fit.sites import BeforeNorm, Spot, norm_after
from residuum.dictionaries.harvests.texts import documents_of
from residuum.models import Batch
from residuum.runs import Capture, Model

ROWS, LENGTH = 128, 64
"""Rows of text that the model writes itself, and tokens in each (fewer in a short context)."""
SINK_TIMES = 10.0
"""Tokens whose vector is this many times the median length are attention sinks, and left out."""
_MOST_ROWS, _ROWS_AT_ONCE = 256, 16


@dataclass(frozen=True, eq=False)
class Held:
    """What a model holds at some sites, token by token.

    Attributes:
        values: place -> ``[token d]``, float32.
        rows: ``[token]``, which row of text each is of.
        n_rows: rows of text.
        left_out: tokens that were run and left out (first of a row, BOS, padding, sinks).
    """

    values: dict[Spot, Float[Tensor, "token _"]]
    rows: Int[Tensor, " token"]
    n_rows: int
    left_out: int


def own_text(model: Model, seed: int = 0) -> list[list[int]]:
    """Rows of token ids that the model writes, sampled at temperature 1.

    They begin with the BOS token; where there is none, with the end token; else with any token.
    """
    length = min(LENGTH, model.n_ctx or LENGTH)
    start = model.bos_token_id
    if start is None:
        start = getattr(model.tokenizer, "eos_token_id", None)
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(model.d_vocab, (ROWS, 1), generator=generator)
    if isinstance(start, int):
        first = torch.full((ROWS, 1), start)
    made = model.generate(first, length - 1, temperature=1.0, seed=seed)
    end = getattr(model.tokenizer, "eos_token_id", None)
    rows = [_until(row, end) for row in made.ids.tolist()]
    return [row for row in rows if len(row) > 2] or made.ids.tolist()


def _until(row: list[int], end: int | None) -> list[int]:
    """The row up to the end token that follows its first token; the token itself left out."""
    return row[: row.index(end, 1)] if end in row[1:] else row


def text_of(model: Model, given: Any) -> list[list[int]]:
    """Rows of token ids of texts, each cut to the model's context; at most 256 rows.

    Raises:
        TokenError: no text, or too little: less than two rows of more than two tokens.
        StoreError: a file that cannot be read.
    """
    rows, most = [], model.n_ctx or 1024
    for each in documents_of(given, "text"):
        if isinstance(each, str):
            row = model.adapted.tokens.encode(each) if each.strip() else []
        else:
            row = [int(token) for token in each]
        if len(row) > 2:
            rows.append(row[:most])
        if len(rows) == _MOST_ROWS:
            break
    if len(rows) < 2:
        raise TokenError(
            f"{len(rows)} rows of text with more than two tokens are too few for a fit check",
            mend="give two or more texts, or text=None: then the model writes its own",
        )
    return rows


def held_at(model: Model, rows: Sequence[Sequence[int]], sites: Sequence[Spot]) -> Held:
    """Run the rows and keep the places' vectors; heads of a site are joined to one vector.

    The first token of each row, BOS, padding and attention sinks (by the norm at the first place)
    are left out.
    """
    found: dict[Spot, list[Tensor]] = {at: [] for at in sites}
    numbers: list[Tensor] = []
    requests = [
        Capture(at, dtype=torch.float32, device="cpu") for at in sites if isinstance(at, Address)
    ]
    before = [at for at in sites if isinstance(at, BeforeNorm)]
    for first, batch in _batches(model, rows):
        with _heard(model, before) as heard:
            run = model.run(batch, capture=requests, logits=not requests)
        keep = torch.ones_like(batch.ids, dtype=torch.bool)
        if batch.mask is not None:
            keep &= batch.mask.bool()
        keep[:, 0] = False
        if model.bos_token_id is not None:
            keep &= batch.ids != model.bos_token_id
        for at in sites:
            value = run[at].flatten(2) if isinstance(at, Address) else heard[at]
            found[at].append(value[keep])
        numbers.append((torch.arange(len(batch.ids)) + first)[:, None].expand_as(keep)[keep])
    values = {at: torch.cat(parts) for at, parts in found.items()}
    row = torch.cat(numbers)
    norms = values[sites[0]].norm(dim=1)
    sober = norms <= SINK_TIMES * norms.median()
    if int(sober.sum()) < 2:
        raise TokenError("the text leaves no tokens to check on", mend="give more text")
    total = sum(map(len, rows))
    kept = {at: value[sober] for at, value in values.items()}
    return Held(kept, row[sober], len(rows), total - int(sober.sum()))


@contextmanager
def _heard(model: Model, before: Sequence[BeforeNorm]) -> Iterator[dict[BeforeNorm, Tensor]]:
    """What post-norms are given while the model runs, ``[batch pos d]``."""
    heard: dict[BeforeNorm, Tensor] = {}

    def listener(at: BeforeNorm) -> Any:
        def hear(_: Any, given: tuple[Tensor, ...]) -> None:
            heard[at] = given[0].detach().to("cpu", torch.float32, copy=True)

        return hear

    with ExitStack() as hooks:
        for at in before:
            norm = norm_after(model, at.at)
            assert norm is not None
            hooks.callback(norm.register_forward_pre_hook(listener(at)).remove)
        yield heard


def _batches(model: Model, rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, Batch]]:
    pads = "right" in model.adapted.padding
    size = _ROWS_AT_ONCE if pads or len({len(row) for row in rows}) == 1 else 1
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        longest = max(map(len, some))
        ids = torch.full((len(some), longest), model.adapted.tokens.pad_id or 0)
        mask = torch.zeros(len(some), longest, dtype=torch.bool)
        for index, row in enumerate(some):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = True
        yield start, Batch(ids, None if bool(mask.all()) else mask)
