"""Places: any address either means sites of the model or is refused with an AddressError."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

import residuum as rz
from residuum.core import SITES
from residuum.models import Batch
from residuum.runs import part_count, resolve
from residuum.runs.places import View, columns_of

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import model

FAMILIES = ("gpt2", "llama", "gptj", "mixtral", "bert")
PADDED = Batch(
    torch.tensor([[4, 5, 6, 7], [0, 4, 5, 6], [4, 5, 0, 0]]),
    torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 0]]).bool(),
)

_LAYERS = ["", "L0.", "L2.", "L3.", "L*.", "L1:.", "L:9.", "L5:9.", "L99999999999.", "l0."]
_PARTS = ["", "[H0]", "[H3]", "[H4]", "[H*]", "[N5]", "[N999]", "[E1]", "[F2]", "/x[F2]"]
texts = st.one_of(
    st.text(max_size=12),
    st.text("L0123.zqk*?[]HN@-:_/", max_size=14),
    st.builds(
        lambda layer, name, part, pos: f"{layer}{name}{part}{pos}",
        st.sampled_from(_LAYERS),
        st.sampled_from([*SITES, "res*", "*", "?", "hook_z", "attn", "blocks.1.hook_resid_pre"]),
        st.sampled_from(_PARTS),
        st.sampled_from(["", "@0", "@-1", "@3", "@4", "@-5", "@1:3", "@:", "@9:", "@--1", "@x"]),
    ),
)


@settings(max_examples=300)
@given(texts, st.sampled_from(FAMILIES))
def test_any_text_resolves_or_is_refused(text: str, name: str) -> None:
    held = model(name)
    batch = Batch(torch.tensor([[4, 5, 6, 7], [7, 6, 5, 4]]))
    try:
        found = resolve(held.adapted, text, batch)
    except rz.AddressError as error:
        assert error.what and error.mend
        return
    assert found and len(set(found)) == len(found)
    query = rz.Address.parse(text)
    for each in found:
        assert each.base in held.adapted.taps and not each.is_query
        assert query.covers(each.base, held.n_layers)
        if isinstance(each.part, int) and each.dictionary is None:
            assert each.part < part_count(held.adapted, each)
        assert resolve(held.adapted, str(each), batch) == (each,)


@settings(max_examples=60)
@given(
    st.one_of(
        st.tuples(st.sampled_from([*SITES, "hook_q", "x"]), st.integers(-2, 4)),
        st.tuples(st.text(max_size=3)),
        st.integers(),
        st.none(),
        st.binary(max_size=3),
        st.floats(),
        st.tuples(st.just("z"), st.booleans()),
    )
)
def test_any_other_thing_too(key: object) -> None:
    try:
        found = resolve(model().adapted, key)
    except rz.AddressError:
        return
    assert isinstance(key, tuple) and found


@pytest.mark.parametrize("text", ["L0.z\n", "L٣.z", "L" + "9" * 5000 + ".z", "L0.z[H²]", " L0.z"])
def test_near_addresses_are_no_addresses(text: str) -> None:
    with pytest.raises(rz.AddressError):
        rz.Address.parse(text)


@settings(max_examples=100)
@given(
    st.sampled_from(["resid_post", "z", "pattern", "mlp_act"]),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(-2, 1),
)
def test_what_is_written_at_a_place_is_read_there_and_nowhere_else(
    name: str, part: int | None, pos: int | None
) -> None:
    site = SITES[name]
    sizes = {"batch": 3, "head": 4, "q_pos": 4, "k_pos": 4, "pos": 4, "d_mlp": 6}
    value = torch.randn([sizes.get(dim, 5) for dim in site.dims])
    at = rz.Address(name, 0, part if site.part_letter else None, pos)
    view = View(at, columns_of(PADDED))
    old = view.read(value)
    assert old is not None
    before = value.clone()
    out = view.write(value, old + 1)
    assert torch.equal(value, before)
    again = view.read(out)
    assert again is not None
    torch.testing.assert_close(again, old + 1)
    assert ((out - value).abs() > 0.5).sum() == old.numel()


def test_positions_are_those_of_each_prompts_own_tokens() -> None:
    value = torch.arange(12.0).reshape(3, 4, 1)

    def at(pos: int | rz.core.Span) -> list[float]:
        read = View(rz.Address("resid_post", 0, pos=pos), columns_of(PADDED)).read(value)
        assert read is not None
        return read.flatten().tolist()

    assert at(0) == [0, 5, 8] and at(1) == [1, 6, 9]
    assert at(-1) == [3, 7, 9] and at(-2) == [2, 6, 8]
    assert at(rz.core.Span(0, 2)) == [0, 1, 5, 6, 8, 9]
    assert at(rz.core.Span(-1, None)) == [3, 7, 9]
