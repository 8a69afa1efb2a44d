"""One pass of a batch of circuits over some prompts, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.engine.attention import projected
from residuum.circuits.engine.finer import Finer, FinerLayer
from residuum.circuits.engine.ground import Ground, Known
from residuum.circuits.engine.order import Order
from residuum.circuits.engine.readers import SLOTS, readers_of
from residuum.circuits.engine.recall import Recall
from residuum.circuits.engine.states import Joint, States
from residuum.circuits.engine.streams import Block, Stream
from residuum.circuits.engine.work import Tally
from residuum.models import Adapted
from residuum.models.norms import frozen_scale


@dataclass
class Pass:
    """A batch of circuits; the layers are passed in order, attention before MLP.

    Attributes:
        masks: ``[circuit receiver sender position]``, in the model's dtype; 1 keeps the run's own
            value, 0 the reference.
        states: what of each circuit must be computed.
        run_like: whether parts of the empty run have their reference values.
        marks: the masks as bool, for receivers with equal masks to share a stream; None where
            masks are between 0 and 1 or have gradients.
        keep: whether projections are kept, for :meth:`known`.
        finer: neurons and latents that are nodes of their own.
    """

    adapted: Adapted
    order: Order
    joint: Joint
    ground: Ground
    masks: Tensor
    states: States
    run_like: bool
    tally: Tally
    marks: np.ndarray | None = None
    keep: bool = False
    finer: Finer = field(default_factory=dict)
    inputs: list[dict[str, Tensor]] = field(default_factory=list)
    stream: Stream = field(init=False)
    recall: Recall = field(init=False)

    def __post_init__(self) -> None:
        self.stream = Stream.of(self.ground, self.order, self.masks, self.states, self.joint)
        self.recall = Recall(self.order, self.ground, self.states, self.run_like)

    def run(self) -> Tensor:
        """The last stream where the answer is read, ``[circuit row d_model]``."""
        for layer in range(self.order.n_layers):
            after = self._attention(layer)
            if not self.order.parallel[layer]:
                self.stream.blocks += after
                after = []
            mlp = self._mlp(layer) if self.order.mlp[layer] else []
            self.stream.blocks += [*after, *mlp]
        return self._end()

    def known(self, circuit: int) -> Known:
        """One circuit's run as it was computed; every part of it must have been."""
        made = Known(inputs=[{s: v[circuit] for s, v in each.items()} for each in self.inputs])
        always = self.order.n_senders
        blocks = {int(each.columns[0]): each.values[circuit] for each in self.stream.blocks}
        beside = [b.values[circuit, 0] for b in self.stream.blocks if b.columns[0] == always]
        for layer in range(self.order.n_layers):
            made.sent.append(blocks[self.order.sending(layer).start])
            made.rest.append(beside.pop(0) if self.joint.beside[layer] else None)
            mlp = self.order.sending_mlp(layer) if self.order.mlp[layer] else None
            made.mlps.append(None if mlp is None else blocks[mlp][0])
            parts = layer in self.finer
            made.finer.append(blocks[self.order.sending_finer(layer).start] if parts else None)
        return made

    # -- attention ---------------------------------------------------------------------------

    def _attention(self, layer: int) -> list[Block]:
        """What the layer's heads send, and what attention adds beside them."""
        at, ends = self.order.sending(layer), self._is_last(layer)
        own = self.states.own[:, at]
        sent = np.flatnonzero(self.states.changed[:, at].any(axis=0))
        rows = np.flatnonzero(own.any(axis=1))
        if not len(sent) and not self.joint.beside[layer]:
            return []
        z = self._heads(layer, rows) if len(rows) else None
        if z is not None and ends:
            z = self.ground.at_ends(z, 1)
        if self.joint.outputs[layer]:
            return self._through_norm(layer, rows, z)
        block = self.stream.block(sent + at.start, late=ends)
        self.recall.heads(layer, block.values, sent)
        if z is not None:
            self._written(layer, block.values, rows, sent, z)
        return [block]

    def _written(
        self, layer: int, values: Tensor, rows: np.ndarray, sent: np.ndarray, z: Tensor
    ) -> None:
        """Fill in what new heads send less their references."""
        at, ends = self.order.sending(layer), self._is_last(layer)
        weight = self.adapted.weights.by_layer("W_O")[layer].to(z)
        reference = self.recall.reference(layer, ends)
        for place, head in enumerate(sent):
            mine = np.flatnonzero(self.states.own[rows, at.start + head])
            if len(mine):
                read = (
                    z[torch.as_tensor(mine), :, :, head] if len(mine) < len(z) else z[..., head, :]
                )
                written = (read @ weight[head]) * self.adapted.parts.layers[layer].scale
                values[torch.as_tensor(rows[mine]), place] = written - reference[..., head, :]
                self.tally.out(layer, len(mine), ends)

    def _through_norm(self, layer: int, rows: np.ndarray, z: Tensor | None) -> list[Block]:
        """What all heads send where one norm stands behind them; and the bias, scaled by it."""
        part, ends = self.adapted.parts.layers[layer], self._is_last(layer)
        heads = np.arange(self.order.heads)
        beside = [self.stream.beside(late=ends)] if self.joint.beside[layer] else []
        block = self.stream.block(heads + self.order.sending(layer).start, late=ends)
        self.recall.heads(layer, block.values, heads)
        for each in beside:
            self.recall.rest(layer, each.values)
        if z is not None:
            weight = self.adapted.weights.by_layer("W_O")[layer].to(z)
            raw = part.o_proj(z.flatten(-2).flatten(0, 1))
            out = part.attn_writer(raw)
            scale = frozen_scale(part.attn_writer, raw, out).unflatten(0, z.shape[:2])
            each = torch.einsum("cephd,hdm->chepm", z, weight) * scale[:, None] * part.scale
            at = torch.as_tensor(rows)
            block.values[at] = each - self.recall.reference(layer, ends).movedim(2, 0)
            for other in beside:
                rest = out.unflatten(0, z.shape[:2]) * part.scale - each.sum(dim=1)
                other.values[at] = rest[:, None]
            self.tally.out(layer, len(rows) * len(heads), ends)
        return [*beside, block]

    def _heads(self, layer: int, rows: np.ndarray) -> Tensor:
        """``z`` of all heads in some circuits, ``[circuit row pos head d_head]``."""
        heads = self._projections(layer, rows)
        if self.keep:
            self.inputs.append(heads)
        ground = self.ground
        flat = {slot: value.flatten(0, 1) for slot, value in heads.items()}
        call = ground.copies(len(rows)).call(ground.calls[layer], self.masks.device)
        q, k, v = self.adapted.seam.qkv_from(layer, flat, call)
        if ground.start:
            k, v = (
                torch.cat([kept.repeat(len(rows), 1, 1, 1), new], dim=1)
                for kept, new in zip(ground.before[layer], (k, v), strict=True)
            )
        z = self.adapted.seam.attend_natively(layer, q, k, v, call)
        needed = int(self.states.own[:, self.order.sending(layer)].sum())
        self.tally.attention(layer, len(rows), needed)
        return z.unflatten(0, (len(rows), -1))

    def _projections(self, layer: int, rows: np.ndarray) -> dict[str, Tensor]:
        """Projections of every head, new where a head reads a stream of its own."""
        part = self.adapted.parts.layers[layer]
        d_head = part.projections.d_head
        heads = {slot: self.recall.inputs(layer, slot, rows, d_head) for slot in SLOTS}
        slots = {slot: self.order.reading(layer, slot) for slot in SLOTS}
        before = self.order.before_attention(layer)
        readers = readers_of(self.states, self.marks, slots, before, rows)
        if readers is None:
            return heads
        streams = self.stream.read(rows, readers.receivers, "attention", layer)
        normed = self.adapted.seam.norm(layer, streams.flatten(0, 2))
        normed = normed.unflatten(0, streams.shape[:3])
        for slot in SLOTS:
            for circuits, which, same in readers.alike(slot):
                at = torch.as_tensor(circuits)
                made = projected(part, slot, same, normed[at, torch.as_tensor(which)])
                here = torch.as_tensor(same)[None]
                heads[slot][at[:, None], :, :, here] = made.permute(0, 3, 1, 2, 4)
                self.tally.projection(layer, slot, len(circuits) * len(same))
        return heads

    # -- MLP and the end ---------------------------------------------------------------------

    def _mlp(self, layer: int) -> list[Block]:
        """What the layer's MLP sends."""
        if layer in self.finer:
            return self._split_mlp(layer, self.finer[layer])
        sender, receiver = self.order.sending_mlp(layer), self.order.reading_mlp(layer)
        if not self.states.changed[:, sender].any():
            return []
        ends = self._is_last(layer)
        block = self.stream.block(np.array([sender]), late=ends)
        self.recall.mlp(layer, block.values)
        rows = np.flatnonzero(self.states.own[:, sender])
        if len(rows):
            receivers = np.full((len(rows), 1), receiver)
            read = self.stream.read(rows, receivers, "mlp", layer)
            made = self.adapted.seam.mlp(layer, read.flatten(0, 2)).unflatten(0, read.shape[:3])
            block.values[torch.as_tensor(rows)] = made - self.recall.reference_mlp(layer, ends)
            self.tally.mlp(layer, len(rows), ends)
        return [block]

    def _split_mlp(self, layer: int, finer: FinerLayer) -> list[Block]:
        """What the layer's finer parts send, and the rest of its MLP."""
        sender, at, ends = (
            self.order.sending_mlp(layer),
            self.order.sending_finer(layer),
            self._is_last(layer),
        )
        sent = np.flatnonzero(self.states.changed[:, at].any(axis=0))
        blocks = []
        if self.states.changed[:, sender].any():
            blocks.append(self.stream.block(np.array([sender]), late=ends))
            self.recall.mlp(layer, blocks[0].values)
        if len(sent):
            blocks.append(self.stream.block(at.start + sent, late=ends))
            self.recall.finer(layer, blocks[-1].values, sent)
        rows = np.flatnonzero(self.states.own[:, sender : at.stop].any(axis=1))
        here = self.order.reading_mlp(layer)
        slots = {"rest": slice(here, here + 1), "finer": self.order.reading_finer(layer)}
        before = self.order.before_mlp(layer)
        readers = readers_of(self.states, self.marks, slots, before, rows)
        if readers is None:
            return blocks
        streams = self.stream.read(rows, readers.receivers, "mlp", layer)
        added, numbers = (
            each.unflatten(0, streams.shape[:3]) for each in finer.split(streams.flatten(0, 2))
        )
        self.tally.mlp(layer, int(np.prod(streams.shape[:2])), ends)
        for circuits, which, _ in readers.alike("rest"):
            own = torch.as_tensor(circuits), torch.as_tensor(which)
            made = finer.rest(added[own], numbers[own])
            reference = self.recall.reference_mlp(layer, ends)
            blocks[0].values[torch.as_tensor(rows[circuits]), 0] = made - reference
        references = self.recall.reference_finer(layer, ends) if len(sent) else None
        for circuits, which, nodes in readers.alike("finer"):
            assert references is not None
            own = numbers[torch.as_tensor(circuits), torch.as_tensor(which)]
            made = (finer.sent(own) - references)[..., nodes, :].movedim(-2, 1)
            places = torch.as_tensor(np.searchsorted(sent, nodes))
            mine = torch.as_tensor(rows[circuits])[:, None]
            blocks[-1].values[mine, places[None]] = made
        return blocks

    def _end(self) -> Tensor:
        width = self.ground.embed.shape[-1]
        found = self.masks.new_zeros(len(self.masks), self.ground.prompts, width)
        self.recall.answers(found)
        rows = np.flatnonzero(self.states.own_in[:, self.order.logits])
        if len(rows):
            receivers = np.full((len(rows), 1), self.order.logits)
            read = self.stream.read(rows, receivers, "end", self.order.n_layers)
            found[torch.as_tensor(rows)] = read[:, 0, :, 0]
        self.tally.sums(self.stream.macs)
        return found

    def _is_last(self, layer: int) -> bool:
        """Whether only the answer's position of what the layer sends is read."""
        return layer == self.order.n_layers - 1
