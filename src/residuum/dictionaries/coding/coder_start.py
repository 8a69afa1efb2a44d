"""The values that a sparse coder's parameters start from."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.dictionaries.coding.coder_layout import blocks_of
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.coding.training_rules import rule_of

_START_NORM = 0.1


def first_values(plan: CoderPlan, seed: int) -> dict[str, Tensor]:
    """All parameters by name, in float64.

    Decoder rows have random directions and length 1 (0.1 where their length is free); the encoder
    starts as the decoder's transpose where the same sites are read and written, else random.

    Source: Gao et al. 2024, appendix A.1 (tied start); Templeton et al. 2024 (length 0.1).
    """
    assert plan.writes is not None and plan.out_width is not None
    generator = torch.Generator().manual_seed(seed)
    blocks = blocks_of(plan)
    decoders = {}
    for block in blocks:
        width = (block.writes.stop - block.writes.start) * plan.out_width
        rows = _unit_rows(block.last - block.first, width, generator)
        decoders[block.name] = rows if plan.unit_norm else rows * _START_NORM
    width = (blocks[0].reads.stop - blocks[0].reads.start) * plan.width
    if plan.reads == plan.writes:
        encoder = decoders["W_dec"].clone()
    else:
        encoder = _unit_rows(plan.n_latents, width, generator)
    values = {"W_enc": encoder, **decoders}
    values["b_dec"] = torch.zeros(len(plan.writes) * plan.out_width, dtype=torch.float64)
    if plan.skip:
        values["W_skip"] = torch.zeros(plan.width, plan.out_width, dtype=torch.float64)
    vectors = rule_of(plan.activation).start(torch.zeros(plan.n_latents, dtype=torch.float64))
    return {**values, **vectors}


def _unit_rows(n: int, width: int, generator: torch.Generator) -> Tensor:
    rows = torch.randn(n, width, generator=generator, dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True)
