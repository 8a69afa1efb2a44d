"""The vocabulary, and TransformerLens's names for it: this table is the reference."""

from __future__ import annotations

import pytest

from residuum.core import ALIASES, AXES, PART_LETTERS, SITES, Address, dims_of, translate_alias

BLOCK = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "ln1.hook_normalized": "ln1",
    "ln2.hook_normalized": "ln2",
    "hook_q_input": "q_in",
    "hook_k_input": "k_in",
    "hook_v_input": "v_in",
    "hook_mlp_in": "mlp_in",
    "attn.hook_q": "q_pre",
    "attn.hook_k": "k_pre",
    "attn.hook_rot_q": "q",
    "attn.hook_rot_k": "k",
    "attn.hook_v": "v",
    "attn.hook_attn_scores": "scores",
    "attn.hook_pattern": "pattern",
    "attn.hook_z": "z",
    "attn.hook_result": "head_out",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_pre_linear": "mlp_lin",
    "mlp.hook_post": "mlp_act",
}
WHOLE = {
    "hook_embed": "embed",
    "hook_pos_embed": "pos_embed",
    "ln_final.hook_normalized": "ln_final",
    "unembed.hook_out": "logits",
}
STREAM = ("batch", "pos", "d_model")
SHAPES = {
    "z": ("batch", "pos", "head", "d_head"),
    "q_pre": ("batch", "pos", "head", "d_head"),
    "pattern": ("batch", "head", "q_pos", "k_pos"),
    "head_out": ("batch", "pos", "head", "d_model"),
    "q_in": ("batch", "pos", "head", "d_model"),
    "mlp_in": STREAM,
    "attn_out": STREAM,
    "mlp_act": ("batch", "pos", "d_mlp"),
    "expert_out": ("batch", "pos", "expert", "d_model"),
    "logits": ("batch", "pos", "d_vocab"),
}


def test_the_table_is_complete() -> None:
    assert ALIASES == {**BLOCK, **WHOLE}


@pytest.mark.parametrize(("theirs", "ours"), BLOCK.items())
def test_names_inside_a_block(theirs: str, ours: str) -> None:
    assert Address.parse(f"blocks.9.{theirs}") == Address(ours, 9)
    assert Address.parse(f"blocks.*.{theirs}") == Address(ours, "*")
    assert Address.parse(theirs) == Address(ours)
    assert Address.parse((theirs, 9)) == Address(ours, 9)
    assert Address.parse((ours, 9)) == Address(ours, 9)
    if "normalized" not in theirs:
        assert Address.parse((theirs.split(".")[-1], 9)) == Address(ours, 9)


@pytest.mark.parametrize(("theirs", "ours"), WHOLE.items())
def test_names_of_the_whole_model(theirs: str, ours: str) -> None:
    assert Address.parse(theirs) == Address(ours)


@pytest.mark.parametrize("name", sorted(SITES))
def test_our_own_names_are_not_translated(name: str) -> None:
    assert translate_alias(name) is None


@pytest.mark.parametrize(("name", "dims"), SHAPES.items())
def test_shapes(name: str, dims: tuple[str, ...]) -> None:
    assert dims_of(name) == dims


@pytest.mark.parametrize("site", SITES.values(), ids=list(SITES))
def test_every_site_speaks_the_glossary(site) -> None:
    assert set(site.dims) <= set(AXES)
    assert site.dims[0] == "batch"
    assert site.dims[site.pos_axis] in ("pos", "q_pos")
    if site.part_letter is None:
        assert site.part_axis is None
    else:
        assert site.dims[site.part_axis] == PART_LETTERS[site.part_letter]
