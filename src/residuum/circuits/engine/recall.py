"""What a batch of circuits has in common with the two known runs, filled in without computing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.ground import Ground, Known
from residuum.circuits.engine.order import Order
from residuum.circuits.engine.states import States


@dataclass(frozen=True)
class Recall:
    """Values of parts that are as in the whole or the empty circuit's run.

    Attributes:
        run_like: whether parts of the empty run have their reference values.
    """

    order: Order
    ground: Ground
    states: States
    run_like: bool

    def inputs(self, layer: int, slot: str, rows: np.ndarray, d_head: int) -> Tensor:
        """Projections in some circuits, ``[circuit row pos head d_head]``.

        Heads whose input is new have some value there.
        """
        at = self.order.reading(layer, slot)
        ground = self.ground
        if not ground.empty.inputs:
            shape = (len(rows), ground.prompts, ground.positions, at.stop - at.start, d_head)
            return ground.embed.new_zeros(shape)
        empty, whole = (each.inputs[layer][slot] for each in (ground.empty, ground.whole))
        which = torch.as_tensor(self.states.whole_in[rows][:, at]).to(empty.device)
        return torch.where(which[:, None, None, :, None], whole[None], empty[None])

    def heads(self, layer: int, values: Tensor, heads: np.ndarray) -> None:
        """Fill in what heads send less their references, ``[circuit head row pos d_model]``."""
        first = self.order.sending(layer).start
        for known, which in self._unlike_references():
            for place, head in enumerate(heads):
                rows = self._rows(which, first + int(head))
                if len(rows):
                    values[torch.as_tensor(rows), place] = known.sent[layer][head]

    def rest(self, layer: int, values: Tensor) -> None:
        """Fill in what attention adds beside its heads, ``[circuit 1 row pos d_model]``."""
        first = self.order.sending(layer).start
        for known, which in self._both(self.states.whole, self.states.empty):
            rows = np.flatnonzero(which[:, first])
            value = known.rest[layer] if len(rows) else None
            if value is not None:
                values[torch.as_tensor(rows), 0] = value

    def mlp(self, layer: int, values: Tensor) -> None:
        """Fill in what the MLP sends less its reference, ``[circuit 1 row pos d_model]``."""
        sender = self.order.sending_mlp(layer)
        for known, which in self._unlike_references():
            rows = self._rows(which, sender)
            value = known.mlps[layer] if len(rows) else None
            if value is not None:
                values[torch.as_tensor(rows), 0] = value

    def finer(self, layer: int, values: Tensor, nodes: np.ndarray) -> None:
        """Fill in what finer parts send less their references, ``[circuit node row pos d_model]``.

        Args:
            nodes: which of the layer's they are.
        """
        first = self.order.sending_finer(layer).start
        for known, which in self._unlike_references():
            for place, node in enumerate(nodes):
                rows = self._rows(which, first + int(node))
                sent = known.finer[layer] if len(rows) else None
                if sent is not None:
                    values[torch.as_tensor(rows), place] = sent[node]

    def answers(self, values: Tensor) -> None:
        """Fill in the last streams, ``[circuit row d_model]``."""
        for known, which in self._both(self.states.whole_in, self.states.empty_in):
            rows = np.flatnonzero(which[:, self.order.logits])
            if len(rows):
                assert known.answers is not None
                values[torch.as_tensor(rows)] = known.answers

    def reference(self, layer: int, ends: bool) -> Tensor:
        """The heads' references, ``[row pos head d_model]``."""
        value = self.ground.reference.heads[layer]
        return self.ground.at_ends(value, 0) if ends else value

    def reference_mlp(self, layer: int, ends: bool) -> Tensor:
        """The MLP's reference, ``[row pos d_model]``."""
        value = self.ground.reference.mlps[layer]
        assert value is not None
        return self.ground.at_ends(value, 0) if ends else value

    def reference_finer(self, layer: int, ends: bool) -> Tensor:
        """The finer parts' references, ``[row pos node d_model]``."""
        value = self.ground.reference.finer[layer]
        assert value is not None
        return self.ground.at_ends(value, 0) if ends else value

    def _rows(self, which: np.ndarray, sender: int) -> np.ndarray:
        return np.flatnonzero(which[:, sender] & self.states.changed[:, sender])

    def _unlike_references(self) -> list[tuple[Known, np.ndarray]]:
        """Known runs whose parts send something else than their references."""
        both = self._both(self.states.whole, self.states.empty)
        return both[:1] if self.run_like else both

    def _both(self, whole: np.ndarray, empty: np.ndarray) -> list[tuple[Known, np.ndarray]]:
        return [(self.ground.whole, whole), (self.ground.empty, empty)]
