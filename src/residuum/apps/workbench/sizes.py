"""Bounds of what may be asked for, and how much memory an answer takes."""

from __future__ import annotations

from residuum.core import Address
from residuum.runs import Model

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
    """Bytes that a site takes for one prompt of ``length`` tokens."""
    d = model.dims
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
    count = 1
    for axis in address.site.dims:
        count *= sizes[axis]
    return count * model.dtype.itemsize
