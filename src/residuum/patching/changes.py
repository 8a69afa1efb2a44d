"""From a patched site to the changed stream: where in a block a patch acts, and what it adds.

A head's patch is a change of what attention adds, ``(z' - z) · W_O``: the patched block's attention
is not run again, only its post-norm (where there is one) and its MLP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from residuum.core import Address
from residuum.runs import Change, Forks

FORKED_SITES = (
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_out",
    "z",
    "q",
    "k",
    "v",
    "pattern",
    "head_out",
)
"""Sites whose patches can be forked; others take a whole forward pass each."""

_ATTENTION = ("q", "k", "v", "pattern")
_MLP_SHARE = 2 / 3


def base_sites(site: str, n_layers: int) -> list[Address]:
    """What must be kept of the base run to patch ``site`` at any layer."""
    names = {site, "attn_out"} | ({"resid_mid"} if site == "mlp_out" else set())
    if site in ("z", *_ATTENTION):
        names |= {"z"}
    if site in _ATTENTION:
        names |= {"q", "k", "v"}
    names -= {"resid_pre", "resid_post"}
    return [Address(name, layer) for layer in range(n_layers) for name in sorted(names)]


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

    def make(
        self, layer: int, parts: list[int] | None, pos: int | None, start: int, rows: Tensor
    ) -> Change:
        """The stream after patching, one row for each part and prompt (parts outermost).

        Args:
            parts: heads to patch, each by itself; None patches the whole site.
            pos: position to patch; None patches every position.
            start: first position that is continued from.
            rows: ``[row]`` prompts of the base batch.
        """
        if self.site in ("resid_pre", "resid_post"):
            at = layer if self.site == "resid_pre" else layer + 1
            return Change(at, start, rows, self._stream(layer, pos, start, rows))
        many = rows.repeat(1 if parts is None else len(parts))
        if self.site == "mlp_out":
            moved = self._plain(layer, pos, start, rows)
            return self._after_mlp(layer, start, many, moved)
        if self.site == "resid_mid":
            mid = self._base_mid(layer, rows, start) + self._plain(layer, pos, start, rows)
            return self._from_mid(layer, start, many, mid)
        moved = self._attention_change(layer, parts, pos, start, rows)
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

    def _attention_change(
        self, layer: int, parts: list[int] | None, pos: int | None, start: int, rows: Tensor
    ) -> Tensor:
        """Change of what attention adds (before a post-norm, for ``z`` and what makes it)."""
        if self.site == "attn_out":
            return self._plain(layer, pos, start, rows)
        if self.site == "head_out":
            by_head = self._plain(layer, pos, start, rows)
        else:
            by_head = self._written(layer, self._z_change(layer, pos, start, rows))
        if parts is None:
            return by_head.sum(dim=2)
        grouped = by_head
        if self.site in ("k", "v"):
            kv_heads = self.forks.adapted.parts.dims.n_kv_heads
            grouped = by_head.unflatten(2, (kv_heads, -1)).sum(dim=3)
        return torch.cat([grouped[:, :, part] for part in parts])

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


def first_differences(clean: Tensor, corrupt: Tensor) -> Tensor:
    """First column at which each pair of prompts differs, ``[batch]``; the width if none does."""
    unequal = clean != corrupt
    first = unequal.int().argmax(dim=1)
    return torch.where(unequal.any(dim=1), first, clean.shape[1])
