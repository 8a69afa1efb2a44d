"""The vocabulary, and TransformerLens's names for it: this table is the reference."""

from __future__ import annotations

import pytest

from residuum.core import (
    ALIASES,
    AXES,
    PART_LETTERS,
    SITES,
    Address,
    AddressError,
    dims_of,
    translate_alias,
)

BLOCK = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
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
    assert Address.parse((theirs.split(".")[-1], 9)) == Address(ours, 9)


@pytest.mark.parametrize(("theirs", "ours"), WHOLE.items())
def test_names_of_the_whole_model(theirs: str, ours: str) -> None:
    assert Address.parse(theirs) == Address(ours)


@pytest.mark.parametrize(("theirs", "ours"), (BLOCK | WHOLE).items())
def test_names_take_a_part_and_a_position(theirs: str, ours: str) -> None:
    letter = SITES[ours].part_letter
    tails = ["", "@-1", "@2", "@1:3", "@:", "/sae[F31]", "/sae[F31]@-1"]
    tails += [f"[{letter}3]", f"[{letter}*]", f"[{letter}3]@-1"] if letter else []
    layers = {"blocks.9.": "L9.", "blocks.*.": "L*."} if theirs in BLOCK else {}
    for tail in tails:
        for before, own in {"": "", **layers}.items():
            address = Address.parse(before + theirs + tail)
            assert address == Address.parse(f"{own}{ours}{tail}")
            assert str(address) == f"{own}{ours}{tail}"
            assert Address.parse(str(address)) == address
    if theirs in BLOCK:
        assert Address.parse((f"{theirs}@-1", 9)) == Address(ours, 9, pos=-1)


def test_a_part_that_the_site_has_not_is_refused_by_their_name_too() -> None:
    with pytest.raises(AddressError, match=r"resid_post has no part \[H1\]"):
        Address.parse("blocks.1.hook_resid_post[H1]")


REFUSED = [
    ("blocks.1.ln1.hook_normalized", "L1.ln1 is after gain and bias; TransformerLens's hook_norm"),
    ("blocks.*.ln2.hook_normalized@-1", "L*.ln2 is after gain and bias"),
    ("ln1.hook_normalized", "L{layer}.ln1 is after gain and bias"),
    (("ln2.hook_normalized", 3), "L{layer}.ln2 is after gain and bias"),
    ("ln_final.hook_normalized", "ln_final is after gain and bias"),
    ("hook_normalized", "what a norm hands on here (ln1, ln2, ln_final) is after gain and bias"),
    ("unembed.hook_out", "logits is after the family's scaling and soft cap; TransformerLens's"),
]


@pytest.mark.parametrize(("theirs", "mend"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_names_of_other_tensors_are_refused(theirs: str | tuple[str, int], mend: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(theirs)
    assert "has no counterpart here" in caught.value.what
    assert caught.value.mend.startswith(mend)


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
