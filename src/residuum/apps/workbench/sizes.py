"""Bounds of what may be asked for, and how much memory an answer takes."""

from __future__ import annotations

from math import prod

from residuum.core import Address, Span
from residuum.runs import Model
from residuum.runs.places import part_count

BODY_BYTES = 4 << 20
TEXT_CHARACTERS = 200_000
PROMPT_TOKENS = 8192
EDITS = 64
TOP = 100
NAMES = 32
PAIRS = 512
NUMBERS = 1 << 20
LISTED_RUNS = 1000


def captured_bytes(model: Model, address: Address, length: int) -> int:
    """Bytes that a site, or its part and positions, takes for one prompt of ``length`` tokens."""
    d, site = model.dims, address.site
    sizes = {
        "batch": 1,
        "pos": length,
        "q_pos": length,
        "k_pos": length,
        "head": d.n_heads,
        "d_model": d.d_model,
        "d_head": d.d_head,
        "d_mlp": d.d_mlp or 0,
        "d_vocab": d.d_vocab,
        "expert": d.n_experts,
    }
    along = [sizes[axis] for axis in site.dims]
    if site.part_axis is not None:
        one = isinstance(address.part, int)
        along[site.part_axis] = 1 if one else part_count(model.adapted, address)
    if address.pos is not None:
        span = address.pos if isinstance(address.pos, Span) else None
        along[site.pos_axis] = 1 if span is None else len(span.indices(length))
    return prod(along) * model.dtype.itemsize
