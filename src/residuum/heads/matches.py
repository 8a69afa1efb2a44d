"""Where in a prompt a token came before: the places that detectors look for attention at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SHARED = 0.25
"""Share of another prompt's places that may be a prompt's own."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Places in a batch of prompts, from the token ids alone.

    Attributes:
        duplicate: ``[batch q_pos k_pos]`` the same token, earlier.
        induction: ``[batch q_pos k_pos]`` the token after an earlier occurrence of the same token.
        predicted: ``[batch pos]`` the latest of those places; 0 where there is none.
        has: ``[batch pos]`` whether the token came before and something followed it.
    """

    duplicate: Tensor
    induction: Tensor
    predicted: Tensor
    has: Tensor

    def of_others(self, shift: int) -> tuple[Tensor, Tensor]:
        """Duplicate and induction places of another prompt, less this prompt's own.

        None at all where many of them are this prompt's own too: prompts that repeat at a shared
        distance have only chance repeats left, and these are no null for attention by position.
        """
        found = []
        for own in (self.duplicate, self.induction):
            other = own.roll(shift, 0)
            shared = (other & own).flatten(1).sum(1) / other.flatten(1).sum(1).clamp_min(1)
            found.append(other & ~own & (shared <= _SHARED)[:, None, None])
        return found[0], found[1]


def find_matches(ids: Tensor) -> Matches:
    """Places in prompts ``[batch pos]``; position 0 (often a beginning-of-sequence) counts as none.

    The token right before the present one counts as an earlier occurrence only if it is the same
    token.
    """
    width = ids.shape[1]
    earlier = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril(-1)
    same = (ids[:, :, None] == ids[:, None, :]) & earlier
    same[:, :, 0] = False
    after = torch.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]
    places = torch.arange(width, device=ids.device)
    latest = torch.where(after, places, 0).amax(dim=2)
    return Matches(same, after, latest, after.any(dim=2))
