"""Which latents read and write which sites."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.dictionaries.coding.plan import CoderPlan


@dataclass(frozen=True)
class Block:
    """Latents that read and write the same sites.

    Attributes:
        name: of its decoder's parameter.
        first, last: its latents, the last excluded.
        reads, writes: half-open ranges.
    """

    name: str
    first: int
    last: int
    reads: slice
    writes: slice


def blocks_of(plan: CoderPlan) -> tuple[Block, ...]:
    """One block; of a cross-layer transcoder one for each layer, which writes to it and later."""
    assert plan.writes is not None
    reads, writes = len(plan.reads), len(plan.writes)
    if plan.kind != "cross_layer_transcoder":
        return (Block("W_dec", 0, plan.n_latents, slice(0, reads), slice(0, writes)),)
    each = plan.n_latents // reads
    return tuple(
        Block(f"W_dec.{i}", i * each, (i + 1) * each, slice(i, i + 1), slice(i, writes))
        for i in range(reads)
    )
