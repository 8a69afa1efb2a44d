"""A family without a table: guess where its parts are; the self-check proves or refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from residuum.core import LoadError
from residuum.models.family import FAMILIES, Family
from residuum.models.parts import find, find_parts


def guess_family(hf: Any, model_type: str) -> Family:
    """The known family whose row fits the model's modules, under the model's own name.

    Raises:
        LoadError: no row fits.
    """
    for row in FAMILIES:
        guess = replace(row, name=row.name, model_types=(model_type,))
        if find(hf, row.blocks) is None or not _looks_alike(hf, row):
            continue
        try:
            find_parts(hf, guess)
        except (LoadError, AttributeError):
            continue
        return guess
    raise LoadError(
        f"no table fits the family {model_type!r}, and its modules look like none that is known",
        mend="open an issue with the model's printout; a row in models/family.py is enough",
    )


def _looks_alike(hf: Any, row: Family) -> bool:
    """Whether the first block has the row's required modules, and no norm the row does not know."""
    blocks = find(hf, row.blocks)
    if blocks is None or row.door == "module":
        return False
    block = next(iter(blocks.children()), None)
    if block is None:
        return False
    needed = [row.attn, row.o_proj, *(f"{row.attn}.{name}" for name in row.qkv)]
    needed += [row.mlp_out] if row.mlp_kind != "moe" else [row.router, row.experts]
    if any(find(block, path) is None for path in needed):
        return False
    return _norm_names(block) == set(_row_norms(row))


def _norm_names(block: nn.Module) -> set[str]:
    children = dict(block.named_children())
    return {name for name, module in children.items() if "norm" in type(module).__name__.lower()}


def _row_norms(row: Family) -> list[str]:
    norms = [*row.ln1[:1], *row.ln2[:1], row.post_attn_norm, row.post_mlp_norm]
    return [name for name in norms if name and "." not in name]
