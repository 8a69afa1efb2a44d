"""What a direction's edits do to plain text: perplexity and divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from residuum.core import Address, Patch
from residuum.directions.conditional import Targets
from residuum.directions.interventions import KINDS, Kind, Pairs, leace_rows
from residuum.directions.side_effects import Neutral
from residuum.runs import Model, bootstrap_mean_interval

MOST_UP_FRAC = 0.1
"""A direction is specific only if perplexity rises by less than this: the limit of steering too."""


@dataclass(frozen=True)
class NeutralEffect:
    """The edit that costs plain text most.

    Attributes:
        kind: which of the edits.
        n_texts: how many texts.
        perplexity_up_frac: rise of the texts' perplexity; 0.1 is 10 %.
        interval: its 95 % interval, by text.
        kl_bits: mean divergence of the edited next-token distribution from the plain one, over all
            tokens.
        random_up_frac: the rise under the same edit along random directions, their mean.
    """

    kind: str
    n_texts: int
    perplexity_up_frac: float
    interval: tuple[float, float]
    kl_bits: float
    random_up_frac: float

    @property
    def spared(self) -> bool:
        """Whether perplexity rises by less than a tenth, the interval's end too."""
        return max(self.interval[1], self.perplexity_up_frac) < MOST_UP_FRAC


@dataclass(frozen=True, eq=False)
class _Text:
    """Plain text at the site: values ``[text pos d]`` and the tokens that are written to."""

    neutral: Neutral
    site: Address
    values: Tensor
    written: Tensor


def neutral_effect(
    model: Model,
    at: Address,
    texts: Sequence[str],
    pairs: Pairs,
    found: tuple[Tensor, Tensor],
    random: Sequence[tuple[Tensor, Tensor]],
    seed: int = 0,
) -> NeutralEffect:
    """Edit plain text as the task's prompts are edited.

    Where edits write at one token, one token of each text is drawn. Adding goes both ways; swapping
    takes the value of the text before.

    Args:
        at: where edits write.
        pairs: of the direction's own task; LEACE's matrix is fitted on them.
        found: basis ``[k d]`` and the vector ``[d]`` that adding adds.
        random: the same of random directions.
        seed: of the tokens drawn and of the bootstrap.
    """
    neutral = Neutral.of(model, texts)
    site = replace(at, pos=None)
    mask = None if bool(neutral.real.all()) else neutral.real
    run = model.run(neutral.ids, attention_mask=mask, capture=[site])
    written = Targets(at.pos).spread(model, neutral.ids, neutral.real, seed)
    text = _Text(neutral, site, run[site].detach(), written)
    every: dict[Kind, tuple[Tensor, float]] = {
        kind: _nats(model, text, pairs, kind, *found) for kind in KINDS
    }
    kind = max(every, key=lambda each: float(every[each][0].mean()))
    up, kl = every[kind]
    owners = neutral.losses(neutral.log_probs)[1].tolist()
    low, high = bootstrap_mean_interval(
        up.tolist(), clusters=[str(each) for each in owners], seed=seed
    )
    others = [float(_nats(model, text, pairs, kind, *each)[0].mean()) for each in random]
    return NeutralEffect(
        kind,
        len(neutral.ids),
        math.expm1(float(up.mean())),
        (math.expm1(low), math.expm1(high)),
        kl,
        math.expm1(sum(others) / len(others)) if others else math.nan,
    )


def _nats(
    model: Model, text: _Text, pairs: Pairs, kind: Kind, basis: Tensor, shift: Tensor
) -> tuple[Tensor, float]:
    """Rise of the loss of every token but the first, in nats, and the mean divergence in bits."""
    ups, bits = [], []
    plain = text.neutral.log_probs
    before = text.neutral.losses(plain)[0]
    for change in _changes(text, pairs, kind, basis, shift):
        values = torch.where(text.written[..., None], text.values + change, text.values)
        mask = None if bool(text.neutral.real.all()) else text.neutral.real
        edits = [Patch(text.site, values)]
        run = model.run(text.neutral.ids, attention_mask=mask, edits=edits)
        assert run.logits is not None
        after = run.logits.detach().float().log_softmax(-1).cpu()
        ups.append(text.neutral.losses(after)[0] - before)
        terms = (plain.exp() * (plain - after)).sum(-1)
        bits.append(float(terms[text.neutral.real].mean()) / math.log(2))
    return torch.stack(ups).mean(dim=0), sum(bits) / len(bits)


def _changes(text: _Text, pairs: Pairs, kind: Kind, basis: Tensor, shift: Tensor) -> list[Tensor]:
    if kind == "add":
        return [shift.expand_as(text.values), -shift.expand_as(text.values)]
    here = text.values[text.written]
    wanted = here.roll(1, 0) if kind == "swap" else here.mean(dim=0).expand_as(here)
    rows = leace_rows(pairs, basis[None])[0] if kind == "leace" else basis
    change = torch.zeros_like(text.values)
    change[text.written] = ((wanted - here) @ basis.T) @ rows
    return [change]
