"""Attention to matches of tokens, and their null: the same places once the matches are gone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.heads.matches import Matches, find_matches
from residuum.runs import Model

MATCHES = ("duplicate_token", "induction")
"""Scores that ask for a match, in the order of the last axis below."""


def match_attention(pattern: Tensor, find: Matches) -> Tensor:
    """``[batch head 2]``: attention to earlier occurrences, and to what followed them."""
    stacked = torch.stack([find.duplicate, find.induction], 3)  # [batch q_pos k_pos mask]
    found = torch.einsum("bhqk,bqkm->bhqm", pattern, stacked.to(pattern))
    rows = stacked.any(2)[:, None].to(pattern)  # [batch 1 q_pos mask]
    count = rows.sum(2)
    return torch.where(count > 0, (found * rows).sum(2) / count, torch.nan)


@dataclass(frozen=True, eq=False)
class WithoutRepeats:
    """Attention to the places of matches where the tokens there match no more.

    Attributes:
        patterns: ``[layer] [some head q_pos k_pos]`` on prompts without their repeats.
        find: places of those prompts as they were, ``[some …]``, less queries that
            still have a match.
        every: one in so many prompts of the batch.
    """

    patterns: list[Tensor]
    find: Matches
    every: int

    @staticmethod
    def of(model: Model, ids: Tensor, exchanged: Tensor, every: int) -> WithoutRepeats:
        """Run some prompts of a batch without their repeats."""
        run = model.run(exchanged[::every], capture="pattern", logits=False)
        patterns = [run["pattern", layer] for layer in range(model.n_layers)]
        device = patterns[0].device
        find = find_matches(ids[::every].to(device))
        return WithoutRepeats(patterns, find.where(find.gone(exchanged[::every].to(device))), every)

    def of_layer(self, layer: int, found: Tensor) -> Tensor:
        """``[batch head 2]``: duplicates and induction; NaN for prompts that were not run."""
        null = torch.full_like(found, torch.nan)
        null[:: self.every] = match_attention(self.patterns[layer].to(found), self.find)
        return null
