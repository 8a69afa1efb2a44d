"""What receivers read: sums over senders, those kept with the run's own value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.ground import Ground
from residuum.circuits.engine.order import Order
from residuum.circuits.engine.states import Joint, States


@dataclass(frozen=True)
class Block:
    """What some senders send, less their references.

    Attributes:
        columns: where their masks are: their numbers, or one past all senders for what is always
            the run's own.
        values: ``[circuit sender row pos d_model]``; ``pos`` is 1, the answer's, where nothing
            else is read.
        late: whether it is.
    """

    columns: np.ndarray
    values: Tensor
    late: bool = False


@dataclass
class Stream:
    """The stream of a batch of circuits, block by block.

    Without gradients all blocks but the last layer's lie in one tensor, in the order in which they
    were made, so that a sum over senders is one product.

    Attributes:
        masks: ``[circuit receiver sender position]``: how much of a sender's own value is kept; the
            last column is 1.
        room: ``[circuit sender row pos d_model]``, or None where there are gradients.
        blocks: what is in the stream by now.
        taken: how much of the room is.
        macs: multiply-adds spent on sums.
    """

    ground: Ground
    order: Order
    masks: Tensor
    room: Tensor | None
    blocks: list[Block] = field(default_factory=list)
    taken: int = 0
    macs: int = 0

    @staticmethod
    def of(ground: Ground, order: Order, masks: Tensor, states: States, joint: Joint) -> Stream:
        """The stream of circuits before the first layer, with room for what they send."""
        ones = masks.new_ones(*masks.shape[:2], 1, masks.shape[3])
        room = None
        if not masks.requires_grad:
            size = 1 + _senders(order, states, joint)
            room = masks.new_empty(len(masks), size, *ground.embed.shape)
        stream = Stream(ground, order, torch.cat([masks, ones], dim=2), room)
        embed = stream.block(np.array([0]))
        embed.values[:] = ground.embed
        stream.blocks.append(embed)
        return stream

    def block(self, columns: np.ndarray, *, late: bool = False) -> Block:
        """Room for what some senders send, all zero; to be filled before it joins the stream."""
        ground, size = self.ground, len(columns)
        if self.room is not None and not late:
            values = self.room[:, self.taken : self.taken + size].zero_()
            self.taken += size
        else:
            positions = 1 if late else ground.positions
            shape = (len(self.masks), size, ground.prompts, positions, ground.embed.shape[-1])
            values = self.masks.new_zeros(shape)
        return Block(columns, values, late)

    def beside(self, *, late: bool) -> Block:
        """Room for what belongs to no sender."""
        return self.block(np.array([self.order.n_senders]), late=late)

    def read(self, rows: np.ndarray, receivers: np.ndarray, place: str, layer: int) -> Tensor:
        """What receivers read of the stream, ``[row-of-circuits reader prompt pos d_model]``.

        Args:
            rows: circuits.
            receivers: ``[circuit reader]``: a receiver for each.
            place, layer: which sum of references is read.
        """
        ends = place == "end" or (place == "mlp" and layer == self.order.n_layers - 1)
        total = self.ground.sums[place, layer]
        total = self.ground.at_ends(total, 0) if ends else total
        mine = self.masks[torch.as_tensor(rows)[:, None], torch.as_tensor(receivers)]
        groups = self._groups(ends)
        found: Tensor | None = None
        for columns, values in self._parts(ends):
            some = values if len(rows) == len(values) else values[torch.as_tensor(rows)]
            part = self._sum(mine[:, :, torch.as_tensor(columns)], some.flatten(2, 3), groups)
            found = part if found is None else found + part
        assert found is not None  # the embedding is always there
        return found.unflatten(2, (self.ground.prompts, -1)) + total

    def _parts(self, ends: bool) -> list[tuple[np.ndarray, Tensor]]:
        """Columns and values ``[circuit sender row pos d_model]`` of what is in the stream."""
        parts = [(each.columns, each.values, each.late) for each in self.blocks]
        if self.room is not None:
            early = np.concatenate([c for c, _, late in parts if not late])
            parts = [(early, self.room[:, : len(early)], False), *(p for p in parts if p[2])]
        at_ends = self.ground.at_ends
        return [(c, v if late or not ends else at_ends(v, 2)) for c, v, late in parts]

    def _groups(self, ends: bool) -> list[Tensor]:
        """Tokens of each named position, among those that are read; none without positions."""
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

    def _sum(self, share: Tensor, values: Tensor, groups: list[Tensor]) -> Tensor:
        """``[circuit reader token d_model]``.

        Args:
            share: ``[circuit reader sender position]``.
            values: ``[circuit sender token d_model]``.
        """
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


def _senders(order: Order, states: States, joint: Joint) -> int:
    """How many senders of all but the last layer send something, and what is beside them."""
    changed = np.any(states.changed, axis=0)
    found = 0
    for layer in range(order.n_layers - 1):
        heads = int(changed[order.sending(layer)].sum())
        if joint.outputs[layer] and (heads or joint.beside[layer]):
            heads = order.heads + joint.beside[layer]
        mlp = order.mlp[layer] and changed[order.sending_mlp(layer)]
        found += heads + int(mlp) + int(changed[order.sending_finer(layer)].sum())
    return found
