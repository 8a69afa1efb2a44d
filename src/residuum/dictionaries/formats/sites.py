"""Names of tensors in other tools' files, and the addresses that mean the same tensors here."""

from __future__ import annotations

import re

from residuum.core import Address, AddressError

_HF = re.compile(
    r"(?:model\.|transformer\.|gpt_neox\.|language_model\.)*(?:layers|h|blocks)[._](\d{1,6})"
    r"(?:\.(.*))?"
)
_HF_PART = {
    "": "resid_post",
    "output": "resid_post",
    "input": "resid_pre",
    "mlp": "mlp_out",
    "mlp.output": "mlp_out",
    "post_feedforward_layernorm.output": "mlp_out",
    "post_attention_layernorm.output": "attn_out",
    "pre_feedforward_layernorm.output": "ln2",
    "attn": "attn_out",
    "attention": "attn_out",
    "self_attn": "attn_out",
    "attn.output": "attn_out",
    "self_attn.output": "attn_out",
    "self_attn.o_proj.input": "z",
    "mlp.input": "ln2",
}
_EMBED = ("embed_tokens", "model.embed_tokens", "transformer.wte", "gpt_neox.embed_in", "wte")
_TL_MLP_IN = re.compile(r"blocks\.(\d{1,6})\.mlp\.hook_in")


def address_of(name: str) -> str | None:
    """The address of a tensor that another tool names; None where there is no sure one.

    Takes addresses of this project, TransformerLens's hook names and module names of transformers
    (``model.layers.5``, ``layers.5.mlp``, ``model.layers.5.output``). A whole block means its
    output.

    >>> address_of("blocks.8.hook_resid_pre"), address_of("layers.5.mlp")
    ('L8.resid_pre', 'L5.mlp_out')
    >>> address_of("model.layers.3.post_feedforward_layernorm.output")
    'L3.mlp_out'
    >>> address_of("blocks.2.ln2.hook_normalized") is None
    True
    """
    inside = _TL_MLP_IN.fullmatch(name)
    if inside:
        return f"L{int(inside[1])}.ln2"
    if name in _EMBED:
        return "embed"
    block = _HF.fullmatch(name)
    part = _HF_PART.get(block[2] or "") if block else None
    if block and part:
        return f"L{int(block[1])}.{part}"
    try:
        address = Address.parse(name)
    except AddressError:
        return None
    whole = not address.is_query and address.dictionary is None and address.part is None
    return str(address) if whole and address.pos is None else None


def hook_of(address: str) -> str:
    """TransformerLens's name of a site, for tools that use it.

    >>> hook_of("L8.resid_pre"), hook_of("L3.ln2"), hook_of("embed")
    ('blocks.8.hook_resid_pre', 'blocks.3.mlp.hook_in', 'hook_embed')
    """
    from residuum.core.sites import ALIASES

    site = Address.parse(address)
    if site.name == "ln2":
        return f"blocks.{site.layer}.mlp.hook_in"
    names = {ours: theirs for theirs, ours in ALIASES.items()}
    hook = names.get(site.name)
    if hook is None:
        return address
    return hook if site.layer is None else f"blocks.{site.layer}.{hook}"


def module_of(address: str) -> str:
    """The module of a plain transformers block whose output (or input) the site is.

    >>> module_of("L5.resid_post"), module_of("L5.mlp_out")
    ('layers.5', 'layers.5.mlp')
    """
    site = Address.parse(address)
    if site.name == "embed":
        return "embed_tokens"
    part = {"resid_post": "", "mlp_out": ".mlp", "ln2": ".mlp", "attn_out": ".self_attn"}
    return f"layers.{site.layer}{part.get(site.name, '.' + site.name)}"


def layer_of(address: str | None) -> int | None:
    """The layer that an address names; None for none."""
    if address is None:
        return None
    layer = Address.parse(address).layer
    return layer if isinstance(layer, int) else None
