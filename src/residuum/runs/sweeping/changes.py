"""From a patched site to the changed stream: where in a block a patch acts, and what it adds.

A head's patch is a change of what attention adds, ``(z' - z) · W_O``: the patched block's attention
is not run again, only its post-norm (where there is one) and its MLP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Address
from residuum.runs.forks import Change, Forks
from residuum.runs.sweeping.grid import Cell

FORKED_SITES = (
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_out",
    "mlp_act",
    "z",
    "q",
    "k",
    "v",
    "pattern",
    "head_out",
)
"""Sites whose patches can be forked; others take a whole forward pass each."""

_ATTENTION = ("q", "k", "v", "pattern")
_MLP = ("mlp_out", "mlp_act")
_MLP_SHARE = 2 / 3


def base_sites(site: str, layers: Sequence[int]) -> list[Address]:
    """What must be kept of the base run to write ``site`` at these layers."""
    names = {site, "attn_out"} | ({"resid_mid", "mlp_out"} if site in _MLP else set())
    if site in ("z", *_ATTENTION):
        names |= {"z"}
    if site in _ATTENTION:
        names |= {"q", "k", "v"}
    names -= {"resid_pre", "resid_post"}
    return [Address(name, layer) for layer in layers for name in sorted(names)]


@dataclass(frozen=True, eq=False)
class Changes:
    """Makes changes for one site from donor values.

    Attributes:
        site: name of the patched site.
        donor: layer -> the site's values in the donor run.
    """

    forks: Forks
    site: str
    donor: dict[int, Tensor]

    def make(self, layer: int, cells: list[Cell], start: int, rows: Tensor) -> Change:
        """The stream after writing, one row for each cell and prompt (cells outermost).

        Args:
            cells: of this layer, all at one position or all at every position.
            start: first position that is continued from.
            rows: ``[row]`` prompts of the base batch.
        """
        pos = cells[0].pos
        if self.site in ("resid_pre", "resid_post"):
            at = layer if self.site == "resid_pre" else layer + 1
            return Change(at, start, rows, self._stream(layer, pos, start, rows))
        many = rows.repeat(len(cells))
        if self.site in _MLP:
            return self._after_mlp(layer, start, many, self._mlp_change(layer, cells, start, rows))
        if self.site == "resid_mid":
            mid = self._base_mid(layer, rows, start) + self._plain(layer, pos, start, rows)
            return self._from_mid(layer, start, many, mid)
        moved = self._attention_change(layer, cells, start, rows)
        return self._after_attention(layer, start, many, moved)

    # -- what a patch changes ----------------------------------------------------------------

    def _site(self, name: str, layer: int) -> Tensor:
        return self.forks.base.sites[Address(name, layer)]

    def _only(self, change: Tensor, pos: int | None, start: int) -> Tensor:
        """A change at positions ``start`` … restricted to ``pos``."""
        if pos is None:
            return change
        kept = torch.zeros_like(change)
        kept[:, pos - start] = change[:, pos - start]
        return kept

    def _stream(self, layer: int, pos: int | None, start: int, rows: Tensor) -> Tensor:
        call = self.forks.base.calls[layer]
        base = call.stream if self.site == "resid_pre" else call.output
        new = self.donor[layer][rows, start:]
        if pos is None:
            return new
        mixed = base[rows, start:].clone()
        mixed[:, pos - start] = new[:, pos - start]
        return mixed

    def _plain(self, layer: int, pos: int | None, start: int, rows: Tensor) -> Tensor:
        change = self.donor[layer][rows, start:] - self._site(self.site, layer)[rows, start:]
        return self._only(change, pos, start)

    def _mlp_change(self, layer: int, cells: list[Cell], start: int, rows: Tensor) -> Tensor:
        """Change of what the MLP adds, one row for each cell and prompt."""
        pos, part = cells[0].pos, self.forks.adapted.parts.layers[layer]
        if self.site == "mlp_out":
            return self._plain(layer, pos, start, rows)
        by_neuron = self._plain(layer, pos, start, rows)
        weight = self.forks.adapted.weights.by_layer("W_out")[layer].to(by_neuron)
        moved = torch.cat(
            [
                by_neuron @ weight
                if cell.part is None
                else by_neuron[..., cell.part, None] * weight[cell.part]
                for cell in cells
            ]
        )
        if part.mlp_writer is not part.post_mlp_norm or part.post_mlp_norm is None:
            return moved * part.scale
        assert part.mlp_out is not None
        many = rows.repeat(len(cells))
        raw = part.mlp_out(self._site("mlp_act", layer)[:, start:])[many]
        added = self._site("mlp_out", layer)[many, start:]
        return part.post_mlp_norm(raw + moved) * part.scale - added

    def _attention_change(self, layer: int, cells: list[Cell], start: int, rows: Tensor) -> Tensor:
        """Change of what attention adds (before a post-norm, for ``z`` and what makes it)."""
        pos = cells[0].pos
        if self.site == "attn_out":
            return self._plain(layer, pos, start, rows)
        if self.site == "pattern" and any(cell.source is not None for cell in cells):
            return torch.cat([self._of_source(layer, cell, start, rows) for cell in cells])
        if self.site == "head_out":
            by_head = self._plain(layer, pos, start, rows)
        else:
            by_head = self._written(layer, self._z_change(layer, pos, start, rows))
        grouped = by_head
        if self.site in ("k", "v"):
            kv_heads = self.forks.adapted.parts.dims.n_kv_heads
            grouped = by_head.unflatten(2, (kv_heads, -1)).sum(dim=3)
        return torch.cat(
            [
                grouped.sum(dim=2) if cell.part is None else grouped[:, :, cell.part]
                for cell in cells
            ]
        )

    def _of_source(self, layer: int, cell: Cell, start: int, rows: Tensor) -> Tensor:
        """What attention adds when one source's weight alone is written, ``[row pos d_model]``."""
        heads = slice(None) if cell.part is None else slice(cell.part, cell.part + 1)
        moved = self.donor[layer] - self._site("pattern", layer)
        weights = moved[rows, heads, start:, cell.source].transpose(1, 2)
        values = self._site("v", layer)[rows, cell.source]
        values = values.repeat_interleave(moved.shape[1] // values.shape[1], dim=1)[:, None, heads]
        by_head = self._only(weights[..., None] * values, cell.pos, start)
        weight = self.forks.adapted.weights.by_layer("W_O")[layer][heads].to(by_head)
        return torch.einsum("bphd,hdm->bpm", by_head, weight)

    def _written(self, layer: int, change: Tensor) -> Tensor:
        """``[row pos head d_head]`` through the output projection, head by head."""
        weight = self.forks.adapted.weights.by_layer("W_O")[layer].to(change)
        return torch.einsum("bphd,hdm->bphm", change, weight)

    def _z_change(self, layer: int, pos: int | None, start: int, rows: Tensor) -> Tensor:
        if self.site == "z":
            return self._plain(layer, pos, start, rows)
        patched = {self.site: self._mixed(layer, pos)}
        return (self._attend(layer, patched) - self._attend(layer, {}))[rows, start:]

    def _mixed(self, layer: int, pos: int | None) -> Tensor:
        """The donor's values, everywhere or at one position of the base run's."""
        base, new = self._site(self.site, layer), self.donor[layer]
        if pos is None:
            return new
        axis = 2 if self.site == "pattern" else 1
        mixed = base.clone()
        mixed.select(axis, pos).copy_(new.select(axis, pos))
        return mixed

    def _attend(self, layer: int, patched: dict[str, Tensor]) -> Tensor:
        if self.site == "pattern":
            pattern = patched.get("pattern", self._site("pattern", layer))
            values = self._site("v", layer)
            values = values.repeat_interleave(pattern.shape[1] // values.shape[2], dim=2)
            return torch.einsum("bhqk,bkhd->bqhd", pattern, values)
        q, k, v = (patched.get(slot, self._site(slot, layer)) for slot in "qkv")
        return self.forks.attend(layer, q, k, v)

    # -- from the change to the stream after the block ----------------------------------------

    def _after_attention(self, layer: int, start: int, rows: Tensor, moved: Tensor) -> Change:
        part = self.forks.adapted.parts.layers[layer]
        added = self._site("attn_out", layer)[rows, start:]
        before_norm = self.site in ("z", *_ATTENTION) and part.attn_writer is not part.o_proj
        if before_norm:
            raw = part.o_proj(self._site("z", layer).flatten(-2))[rows, start:]
            new = part.attn_writer(raw + moved) * part.scale
        elif self.site in ("z", *_ATTENTION):
            new = added + moved * part.scale
        else:
            new = added + moved
        if part.wiring == "parallel" or not part.has_mlp:
            output = self.forks.base.calls[layer].output[rows, start:]
            return Change(layer + 1, start, rows, output + (new - added))
        stream = self.forks.base.calls[layer].stream[rows, start:] + new
        if part.wiring == "post_norm_encoder" and part.post_attn_norm is not None:
            stream = part.post_attn_norm(stream)
        return self._from_mid(layer, start, rows, stream)

    def _base_mid(self, layer: int, rows: Tensor, start: int) -> Tensor:
        return self._site("resid_mid", layer)[rows, start:]

    def _from_mid(self, layer: int, start: int, rows: Tensor, mid: Tensor) -> Change:
        part = self.forks.adapted.parts.layers[layer]
        if layer == len(self.forks.adapted.parts.layers) - 1:
            mid, start = self.forks.at_answers(mid, rows, start)
        stream = mid + self.forks.adapted.seam.mlp(layer, mid)
        if part.wiring == "post_norm_encoder" and part.post_mlp_norm is not None:
            stream = part.post_mlp_norm(stream)
        change = Change(layer + 1, start, rows, stream)
        self.forks.spend(change, layers=_MLP_SHARE)
        return change

    def _after_mlp(self, layer: int, start: int, rows: Tensor, moved: Tensor) -> Change:
        part = self.forks.adapted.parts.layers[layer]
        if part.wiring != "post_norm_encoder":
            output = self.forks.base.calls[layer].output[rows, start:]
            return Change(layer + 1, start, rows, output + moved)
        assert part.post_mlp_norm is not None
        mid = self._site("resid_mid", layer)[rows, start:]
        added = self._site("mlp_out", layer)[rows, start:] + moved
        return Change(layer + 1, start, rows, part.post_mlp_norm(mid + added))
