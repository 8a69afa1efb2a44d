"""Whether a random change of a site reaches the logits: what a site must do to be more than a name.

Where a change of usual size does not (attention of hand-set weights is all or nothing, and a first
head may be idle), far larger ones of every head are tried, on several prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch
from residuum.runs.forward import one_pass
from residuum.runs.places import View

_NOISE, _LARGE_NOISE, _ATTEMPTS = 3.0, 300.0, 25


def probe_batch(adapted: Adapted, rows: int = 2, length: int = 6, seed: int = 0) -> Batch:
    """Random token ids, seeded."""
    generator = torch.Generator().manual_seed(seed)
    length = min(length, adapted.tokens.n_ctx or length)
    ids = torch.randint(0, adapted.parts.dims.d_vocab, (rows, length), generator=generator)
    return Batch(ids)


def reach(
    adapted: Adapted, layers: tuple[int, ...], chunk: int = 48
) -> tuple[dict[str, float], float]:
    """Site name -> the least change of the logits that a change of it made, and what is enough.

    Relative to the largest logit; many sites in one batch.
    """
    sites = [a for a in adapted.taps if a.layer is None or a.layer in layers]
    changes: dict[str, float] = {}
    one = probe_batch(adapted, rows=1, length=5, seed=1).ids
    bound = _enough(adapted)
    for start in range(0, len(sites), chunk):
        part = sites[start : start + chunk]
        amounts = _reached(adapted, one, part, _NOISE, every_head=False)
        for seed in range(1, _ATTEMPTS):
            quiet = [address for address in part if not amounts[address] > bound]
            if not quiet:
                break
            again = probe_batch(adapted, rows=1, length=5, seed=1 + seed).ids
            amounts |= _reached(adapted, again, quiet, _LARGE_NOISE, every_head=True)
        for address, amount in amounts.items():
            changes[address.name] = min(changes.get(address.name, float("inf")), amount)
    return changes, bound


def _enough(adapted: Adapted) -> float:
    """In half precision too: a change of one unit in the last place of one logit is a change."""
    dtype = next(adapted.parts.embed.parameters()).dtype
    return 10 * torch.finfo(torch.promote_types(dtype, torch.float32)).eps


def _reached(
    adapted: Adapted, one: Tensor, sites: list[Address], size: float, *, every_head: bool
) -> dict[Address, float]:
    """How much a random change of each site changes the logits, relative to the largest."""
    batch = Batch(one.expand(len(sites), -1).contiguous())
    still, moved = (_noisy_logits(adapted, batch, sites, s, every_head) for s in (0.0, size))
    change = (moved - still).abs().flatten(1).amax(1) / still.abs().max()
    return dict(zip(sites, change.nan_to_num(0.0).tolist(), strict=True))


def _noisy_logits(
    adapted: Adapted, batch: Batch, sites: list[Address], size: float, every_head: bool
) -> Tensor:
    noise: list[Any] = [
        _RowNoise(address, row, size, every_head) for row, address in enumerate(sites)
    ]
    logits, _ = one_pass(adapted, batch, noise, [])
    assert logits is not None
    return logits.double()


@dataclass
class _RowNoise:
    """Adds noise to one row of a site (one head of it, for heads' own inputs)."""

    address: Address
    row: int
    size: float
    every_head: bool = False
    fired: int = 0

    def apply(self, value: Tensor, view: View) -> Tensor:
        self.fired += 1
        if self.size == 0:
            return value.clone()
        generator = torch.Generator().manual_seed(self.row)
        own = value[self.row]
        by_head = self.address.name.endswith("_in") and self.address.site.part_axis == 2
        if by_head and not self.every_head:
            own = own[:, :1]
        noise = torch.randn(own.shape, generator=generator).to(own)
        spread = own[own > torch.finfo(own.dtype).min / 2].std().nan_to_num(1.0)
        out = value.clone()
        if own.shape != out[self.row].shape:
            out[self.row][:, :1] += self.size * (spread + 0.05) * noise
        else:
            out[self.row] += self.size * (spread + 0.05) * noise
        return out
