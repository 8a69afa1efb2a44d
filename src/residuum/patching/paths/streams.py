"""Changed streams on a path: what a sender sends, what a receiver makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.core import Address
from residuum.patching.paths.nodes import Receiver, exchanged_at
from residuum.runs import Change, Forks, Model, Run

_QKV_SHARE = 1 / 3
_MLP_SHARE = 2 / 3


def base_sites(model: Model) -> list[Address]:
    """What must be kept of the receiving run."""
    names = ("embed", "z", "attn_out", "resid_mid", "mlp_out")
    return [address for address in model.sites if address.name in names]


@dataclass(frozen=True)
class Cell:
    """One path, up to its receiver.

    Attributes:
        sender, receiver: its place in the table.
        moved: ``[row pos d_model]``: change of what the layer's attention writes (before a
            post-norm), of the stream that its MLP reads, or of the stream after the block.
        of: which of them: ``"heads"``, ``"mlp"`` or ``"block"``; the same in one batch of cells.
    """

    sender: int
    receiver: int
    moved: Tensor
    of: str = "heads"


@dataclass
class PathStreams:
    """Changes of the receiving run's stream, from position ``start`` on.

    Attributes:
        donor: the run whose values are sent.
        rows: ``[row]`` prompts whose two sides differ.
        start: first position at which any of them does.
    """

    forks: Forks
    donor: Run
    rows: Tensor
    start: int
    _own: dict[int, tuple[dict[str, Tensor], Tensor]] = field(default_factory=dict)

    # -- from the sender ---------------------------------------------------------------------

    def sent(self, sender: Address) -> Tensor:
        """Change of the stream when the sender's output is exchanged, ``[row pos d_model]``."""
        at = exchanged_at(sender)
        change = self._cut(self.donor[at.base]) - self._cut(self.forks.base.sites[at.base])
        if at.name != "z":
            return change
        layer, head = at.layer, at.part
        assert isinstance(layer, int) and isinstance(head, int)
        return self._added(layer, self._written(layer, change, slice(head, head + 1)))

    def at_the_end(self, change: Tensor) -> Tensor:
        """Last stream at each prompt's last token with a change, ``[row d_model]``."""
        stream = self._cut(self.forks.base.calls[-1].output)
        changed = stream + change.to(stream.device)
        at = (self.forks.ends[self.rows] - self.start).to(stream.device)
        return changed[torch.arange(len(at), device=stream.device), at]

    # -- through components of via -----------------------------------------------------------

    def through_heads(self, layer: int, change: Tensor, heads: list[int]) -> Tensor:
        """Change of what attention adds when some heads read a changed stream."""
        new = self._attend(layer, self.heads(layer, change))
        return self._added(layer, self._written(layer, new - self._base(layer)[1], heads))

    def through_mlp(self, layer: int, change: Tensor) -> Tensor:
        """Change of what the MLP adds when it reads a changed stream."""
        return self._mlp_change(layer, self.rows, change, 1)

    # -- into a layer's heads ----------------------------------------------------------------

    def into_heads(
        self, layer: int, sender: int, change: Tensor, receivers: dict[int, Receiver]
    ) -> Iterator[Cell]:
        """What attention writes when each receiver alone reads the changed stream.

        Heads do not mix, so all single queries of the layer come from one attention call, and so
        do its keys and its values.
        """
        changed = self.heads(layer, change)
        own, z = self._base(layer)
        single: dict[str, Tensor] = {}
        for j, receiver in receivers.items():
            member, *more = receiver.members
            if more:
                mixed = replaced(own, changed, receiver.members)
                moved = self._written(layer, self._attend(layer, mixed) - z)
            else:
                slot = member.name[0]
                if slot not in single:
                    new = self._attend(layer, own | {slot: changed[slot]})
                    single[slot] = new - z
                moved = self._written(layer, single[slot], self._readers(member))
            yield Cell(sender, j, moved)

    def heads(self, layer: int, change: Tensor | None) -> dict[str, Tensor]:
        """q, k, v of the whole base batch, from the stream with a change (or as it was)."""
        if change is None:
            return self._base(layer)[0]
        call = self.forks.base.calls[layer]
        stream = call.stream.clone()
        stream[self.rows, self.start :] += change.to(stream.device)
        return self._projected(layer, stream)

    def attention_change(self, layer: int, heads: dict[str, Tensor]) -> Tensor:
        """Change of what attention adds when its heads are these."""
        return self._added(
            layer, self._written(layer, self._attend(layer, heads) - self._base(layer)[1])
        )

    def has_mlp(self, layer: int) -> bool:
        """Whether the block has an MLP."""
        return self.forks.adapted.parts.layers[layer].has_mlp

    def _projected(self, layer: int, stream: Tensor) -> dict[str, Tensor]:
        call, seam = self.forks.base.calls[layer], self.forks.adapted.seam
        q, k, v = seam.qkv(layer, seam.norm(layer, stream), call.call)
        self.forks.spend(Change(layer, 0, self.rows, stream), layers=_QKV_SHARE)
        return {"q": q, "k": k, "v": v}

    def _base(self, layer: int) -> tuple[dict[str, Tensor], Tensor]:
        """The receiving run's own heads and ``z``, kept for the layer at hand."""
        if layer not in self._own:
            own = self._projected(layer, self.forks.base.calls[layer].stream)
            self._own = {layer: (own, self._attend(layer, own))}
        return self._own[layer]

    def _attend(self, layer: int, heads: dict[str, Tensor]) -> Tensor:
        return self._cut(self.forks.attend(layer, heads["q"], heads["k"], heads["v"]))

    def _readers(self, member: Address) -> slice:
        """The query heads whose ``z`` an input of one head changes."""
        dims, head = self.forks.adapted.parts.dims, member.part
        assert isinstance(head, int)
        many = 1 if member.name == "q_in" else dims.n_heads // dims.n_kv_heads
        return slice(head * many, (head + 1) * many)

    def _written(
        self, layer: int, change: Tensor, heads: slice | list[int] = slice(None)
    ) -> Tensor:
        """``[row pos head d_head]`` through these heads' output projection, summed."""
        weight = self._output(layer, change)[heads]
        return torch.einsum("bphd,hdm->bpm", change[:, :, heads], weight)

    def _output(self, layer: int, like: Tensor) -> Tensor:
        return self.forks.adapted.weights.by_layer("W_O")[layer].to(like)

    # -- from the receiver on ----------------------------------------------------------------

    def after(self, layer: int, cells: list[Cell]) -> Change:
        """The stream after the block, one row for each cell and prompt (cells outermost)."""
        part = self.forks.adapted.parts.layers[layer]
        rows = self.rows.repeat(len(cells))
        moved = torch.cat([cell.moved for cell in cells])
        stream = self._repeated(self.forks.base.calls[layer].output, len(cells))
        of = cells[0].of
        if of != "mlp":
            moved = self._added(layer, moved) if of == "heads" else moved
            stream = stream + moved
        sequential = part.has_mlp and part.wiring != "parallel"
        if of == "mlp" or (of == "heads" and sequential):
            stream = stream + self._mlp_change(layer, rows, moved, len(cells))
        return Change(layer + 1, self.start, rows, stream)

    def _mlp_change(self, layer: int, rows: Tensor, moved: Tensor, times: int) -> Tensor:
        """What the MLP adds more, the change being in the stream that it reads."""
        read = self._repeated(self._read_by_mlp(layer), times) + moved
        was = self._repeated(self.forks.base.sites[Address("mlp_out", layer)], times)
        self.forks.spend(Change(layer, self.start, rows, read), layers=_MLP_SHARE)
        return self.forks.adapted.seam.mlp(layer, read) - was

    def _read_by_mlp(self, layer: int) -> Tensor:
        """The stream that the layer's MLP reads in the receiving run, whole."""
        middle = self.forks.base.sites.get(Address("resid_mid", layer))
        return self.forks.base.calls[layer].stream if middle is None else middle

    def _added(self, layer: int, moved: Tensor) -> Tensor:
        """Change of what attention adds, from a change of what its heads write together."""
        part = self.forks.adapted.parts.layers[layer]
        if part.attn_writer is part.o_proj:
            return moved * part.scale
        raw = part.o_proj(self.forks.base.sites[Address("z", layer)].flatten(-2))
        raw = self._cut(raw)
        raw = raw.repeat(len(moved) // len(raw), 1, 1)
        return (part.attn_writer(raw + moved) - part.attn_writer(raw)) * part.scale

    def _cut(self, value: Tensor) -> Tensor:
        """The prompts and positions at hand of a whole tensor ``[batch pos ...]``."""
        return value[self.rows.to(value.device), self.start :]

    def _repeated(self, value: Tensor, times: int) -> Tensor:
        return self._cut(value).repeat(times, 1, 1)


def replaced(
    own: dict[str, Tensor], changed: dict[str, Tensor], members: Sequence[Address]
) -> dict[str, Tensor]:
    """The heads of a run, those of some inputs replaced."""
    mixed = {slot: heads.clone() for slot, heads in own.items()}
    for member in members:
        slot, head = member.name[0], member.part
        assert isinstance(head, int)
        mixed[slot][:, :, head] = changed[slot][:, :, head]
    return mixed
