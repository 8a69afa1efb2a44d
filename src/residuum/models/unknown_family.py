"""A family without a table: guess where its parts are; the self-check proves or refuses them.

First the rows that are known are tried on the model's modules. Where none fits, the stream itself
is found by structure (the embedding, the longest list of blocks, the norm after it, the
unembedding): such a model has ``resid_pre`` and ``resid_post``, and what is before and after its
blocks.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from torch import nn

from residuum.core import LoadError
from residuum.models.family import FAMILIES, Family
from residuum.models.parts import find, find_parts

_MEND = "open an issue with the model's printout; a row in models/family.py is enough"


def guess_family(hf: Any, model_type: str) -> Family:
    """The known family whose row fits the model's modules; else one that knows only the stream.

    Raises:
        LoadError: not even the stream can be found.
    """
    positions = "position_ids" in inspect.signature(hf.forward).parameters
    for row in FAMILIES:
        guess = replace(row, model_types=(model_type,), position_ids=positions)
        if not _looks_alike(hf, row):
            continue
        try:
            find_parts(hf, guess)
        except (LoadError, AttributeError):
            continue
        return guess
    return _stream_only(hf, model_type, positions)


def _looks_alike(hf: Any, row: Family) -> bool:
    """Whether all blocks have the row's required modules, and no norm the row does not know."""
    blocks = find(hf, row.blocks)
    if blocks is None or row.door == "module":
        return False
    needed = [row.attn, row.o_proj, *(f"{row.attn}.{name}" for name in row.qkv)]
    needed += {
        "moe": [row.router, row.experts],
        "gated": [row.mlp_in, row.mlp_gate, row.mlp_out],
    }.get(row.mlp_kind, [row.mlp_in, row.mlp_out])
    for block in blocks.children():
        lacks = any(find(block, path) is None for path in needed)
        if lacks or _norm_names(block) != set(_row_norms(row)):
            return False
    return True


def _norm_names(block: nn.Module) -> set[str]:
    children = dict(block.named_children())
    return {name for name, module in children.items() if "norm" in type(module).__name__.lower()}


def _row_norms(row: Family) -> list[str]:
    norms = [*row.ln1[:1], *row.ln2[:1], row.post_attn_norm, row.post_mlp_norm]
    return [name for name in norms if name and "." not in name]


def _stream_only(hf: Any, model_type: str, positions: bool) -> Family:
    """A row for a model of which only the stream between its blocks is known."""
    if getattr(hf.config, "is_encoder_decoder", False):
        raise LoadError(
            f"{model_type} is an encoder with a decoder, which has no one stream",
            mend="load a causal or a masked language model",
        )
    paths = {id(module): name for name, module in hf.named_modules()}
    blocks = _longest_list(hf)
    embed = paths.get(id(hf.get_input_embeddings()))
    if blocks is None or embed is None:
        raise LoadError(
            f"no table fits the family {model_type!r}, and no list of blocks was found in it",
            mend=_MEND,
        )
    return Family(
        "unknown",
        (model_type,),
        blocks=blocks,
        embed=embed,
        final_norm=_norm_after(hf, blocks),
        unembed=paths.get(id(hf.get_output_embeddings()), ""),
        mlp=None,
        mlp_kind="plain",
        wiring="opaque",
        position_ids=positions,
    )


def _longest_list(hf: Any) -> str | None:
    """Path of the list of modules, inside no other, that holds the most parameters."""
    sizes: dict[str, int] = {}
    for name, module in hf.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in sizes)
        if isinstance(module, nn.ModuleList) and len(module) and not inside:
            sizes[name] = sum(each.numel() for each in module.parameters())
    return max(sizes, key=lambda name: sizes[name], default=None)


def _norm_after(hf: Any, blocks: str) -> str | None:
    """Path of the last norm beside the blocks and after them."""
    outer, _, own = blocks.rpartition(".")
    beside = hf.get_submodule(outer)
    names = [name for name, _ in beside.named_children()]
    norms = [
        name
        for name in names[names.index(own) + 1 :]
        if "norm" in type(getattr(beside, name)).__name__.lower()
    ]
    return f"{outer}.{norms[-1]}".lstrip(".") if norms else None
