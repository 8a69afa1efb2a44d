"""Where in a prompt a token came before: the places that detectors look for attention at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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

    def gone(self, ids: Tensor) -> Tensor:
        """``[batch q_pos]`` whether no match of these prompts is left in the other ids."""
        same = ids[:, :, None] == ids[:, None, :]
        return ~(same & self.duplicate).any(2)

    def where(self, rows: Tensor) -> Matches:
        """Those of some queries ``[batch q_pos]``."""
        kept = rows[..., None]
        return Matches(
            self.duplicate & kept, self.induction & kept, self.predicted, self.has & rows
        )


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
