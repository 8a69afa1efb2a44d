"""What receivers read: sums over senders, those kept with the run's own value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.ground import Ground

ALWAYS = -1
"""Number of a sender that is no part of the graph: it always has the run's own value."""


@dataclass
class Block:
    """What some senders send, less their references.

    Attributes:
        senders: their numbers.
        values: ``[circuit sender row pos d_model]``; ``pos`` is 1, the answer's, where nothing
            else is read.
    """

    senders: np.ndarray
    values: Tensor
    _ends: Tensor | None = None

    def at_ends(self, ground: Ground) -> Tensor:
        """``[circuit sender row 1 d_model]`` where the answer is read."""
        if self._ends is None:
            one = self.values.shape[3] == 1 and ground.positions > 1
            self._ends = self.values if one else ground.at_ends(self.values, 2)
        return self._ends


@dataclass
class Stream:
    """The stream of a batch of circuits, sender by sender.

    Attributes:
        masks: ``[circuit receiver sender position]``: how much of a sender's own value is kept.
        macs: multiply-adds spent on sums.
    """

    ground: Ground
    masks: Tensor
    blocks: list[Block] = field(default_factory=list)
    macs: int = 0

    def read(
        self, rows: np.ndarray, receivers: np.ndarray, before: int, place: str, layer: int
    ) -> Tensor:
        """What receivers read, ``[row-of-circuits reader prompt pos d_model]``.

        Args:
            rows: circuits.
            receivers: ``[circuit reader]``: a receiver for each.
            before: senders from this number on are not in the stream yet.
            place, layer: which sum of references is read.
        """
        ends = place == "end" or (place == "mlp" and layer == len(self.ground.calls) - 1)
        total = self.ground.sums[place, layer]
        total = self.ground.at_ends(total, 0) if ends else total
        at = torch.as_tensor(rows)[:, None]
        mine = self.masks[at, torch.as_tensor(receivers)]
        groups = self._groups(ends)
        found: Tensor | None = None
        for block in self.blocks:
            if block.senders[0] >= before:
                continue
            values = block.at_ends(self.ground) if ends else block.values
            if len(rows) < len(values):
                values = values[torch.as_tensor(rows)]
            part = self._sum(mine, block.senders, values.flatten(2, 3), groups)
            found = part if found is None else found + part
        if found is None:
            return total.expand(*mine.shape[:2], self.ground.prompts, *total.shape[1:])
        return found.unflatten(2, (self.ground.prompts, -1)) + total

    def _groups(self, ends: bool) -> list[Tensor]:
        """Tokens of each named position, among those that are read."""
        ground = self.ground
        if len(ground.groups) == 1:
            return []
        if not ends:
            return ground.groups
        where = torch.full((ground.prompts * ground.positions,), -1)
        for place, tokens in enumerate(ground.groups):
            where[tokens] = place
        last = where.unflatten(0, (ground.prompts, -1))[torch.arange(ground.prompts), ground.ends]
        return [(last == place).nonzero().flatten() for place in range(len(ground.groups))]

    def _sum(
        self, masks: Tensor, senders: np.ndarray, values: Tensor, groups: list[Tensor]
    ) -> Tensor:
        """``[circuit reader token d_model]`` from values ``[circuit sender token d_model]``."""
        if senders[0] == ALWAYS:
            share = masks.new_ones(*masks.shape[:2], len(senders), masks.shape[3])
        else:
            share = masks[:, :, torch.as_tensor(senders)]
        self.macs += share.shape[0] * share.shape[1] * values[0].numel()
        if not groups:
            made = torch.bmm(share[..., 0], values.flatten(2))
            return made.unflatten(2, values.shape[2:])
        parts = [
            torch.bmm(share[..., place], values[:, :, tokens].flatten(2)).unflatten(
                2, (len(tokens), -1)
            )
            for place, tokens in enumerate(groups)
            if len(tokens)
        ]
        order = torch.argsort(torch.cat(groups))
        return torch.cat(parts, dim=2)[:, :, order]
