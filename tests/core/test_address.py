"""Addresses and queries: what is written is what is read, and a query means what it says."""

from __future__ import annotations

import pytest
from core_strategies import addresses, queries
from hypothesis import given, strategies as st

from residuum.core import SITES, Address, AddressError, Span

N_LAYERS = 4


def available() -> list[Address]:
    sites = [Address(name) for name, site in SITES.items() if not site.layered]
    for layer in range(N_LAYERS):
        sites += [Address(name, layer) for name, site in SITES.items() if site.layered]
    return sites


@given(addresses() | queries())
def test_reading_back_what_was_written(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert Address.parse(address) is address


@given(
    st.text(max_size=30) | st.from_regex(r"L[0-9:*-]{0,4}\.[a-z_*?]{1,8}(\[[A-Z][0-9*]+\])?@?-?")
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError as error:
        assert error.what
        assert error.mend
        assert "\n" not in error.mend
    else:
        assert Address.parse(str(address)) == address


@given(addresses() | queries())
def test_an_address_prints_as_what_makes_it_again(address: Address) -> None:
    assert repr(address) == f"Address({str(address)!r})"
    assert eval(repr(address), {"Address": Address}) == address


def test_an_address_made_from_a_whole_text() -> None:
    assert Address("L9.z[H6]@-1") == Address("z", 9, 6, -1) == Address.parse("L9.z[H6]@-1")
    assert Address("blocks.9.attn.hook_z").base == Address("L9.z")
    with pytest.raises(AddressError, match="gives its layer or part twice"):
        Address("L9.z", 3)
    with pytest.raises(AddressError, match="cannot read the address"):
        Address("L9.z[H6")


@given(addresses())
def test_an_address_is_no_query_and_knows_its_site(address: Address) -> None:
    assert not address.is_query
    assert address.site.name == address.name
    assert address.base == Address(address.name, address.layer)


@given(st.integers(0, N_LAYERS - 1), st.sampled_from(sorted(SITES)))
def test_a_site_expands_to_itself(layer: int, name: str) -> None:
    address = Address(name, layer if SITES[name].layered else None)
    assert address.expand(available(), N_LAYERS) == (address,)


@given(queries())
def test_expand_finds_available_sites_in_order(query: Address) -> None:
    sites = available()
    try:
        found = query.expand(sites, N_LAYERS)
    except AddressError:
        layers = range(N_LAYERS)
        if isinstance(query.layer, Span):
            assert not list(query.layer.indices(N_LAYERS))
        else:
            assert query.layer not in (None, "*", *layers)
        return
    order = [sites.index(each.base) for each in found]
    assert order == sorted(set(order))
    assert all(each.pos == query.pos and each.dictionary == query.dictionary for each in found)
    assert all(each.part == (None if query.part == "*" else query.part) for each in found)
    assert not any(each.is_query for each in found)


@given(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_layer_spans_are_slices(start: int | None, stop: int | None) -> None:
    query = Address("z", Span(start, stop))
    expected = tuple(Address("z", layer) for layer in range(N_LAYERS)[start:stop])
    if expected:
        assert query.expand(available(), N_LAYERS) == expected
    else:
        with pytest.raises(AddressError):
            query.expand(available(), N_LAYERS)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("L0.resid_*", ["resid_pre", "resid_mid", "resid_post"]),
        ("L0.?", ["q", "k", "v", "z"]),
        ("L0.mlp_*[N3]", ["mlp_pre", "mlp_lin", "mlp_act"]),
        ("L0.*_in[H1]", ["q_in", "k_in", "v_in"]),
        ("*embed", ["embed", "pos_embed"]),
        ("log*", ["logits"]),
    ],
)
def test_patterns(query: str, names: list[str]) -> None:
    found = Address.parse(query).expand(available(), N_LAYERS)
    assert [each.name for each in found] == names


def test_a_bare_name_means_every_layer() -> None:
    found = Address.parse("pattern").expand(available(), N_LAYERS)
    assert [each.layer for each in found] == [0, 1, 2, 3]
    assert Address.parse("L*.pattern").expand(available(), N_LAYERS) == found
    assert Address.parse("pattern").is_query
    assert not Address.parse("logits").is_query


def test_star_for_the_layer_leaves_sites_of_the_whole_model_out() -> None:
    everything = Address.parse("*").expand(available(), N_LAYERS)
    layered = Address.parse("L*.*").expand(available(), N_LAYERS)
    assert {each.name for each in everything} - {each.name for each in layered} == {
        name for name, site in SITES.items() if not site.layered
    }


def test_addresses_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Address("z", 1).layer = 2  # type: ignore[misc]
    assert len({Address("z", 1), Address("z", 1), Address("z", 2)}) == 2


SITE_LIST = "sites are: embed, pos_embed, resid_pre"
ERRORS = [
    ("L9.zz", "there is no site named 'zz'", SITE_LIST),
    ("L1.foo*", "no site matches 'L1.foo*'", SITE_LIST),
    ("blocks.1.attn.hook_nonsense", "cannot read the address", "write L{layer}.{name}"),
    ("", "cannot read the address ''", "for example L9.z[H6]@-1"),
    ("L1.z[H6", "cannot read the address", "for example L9.z[H6]@-1"),
    ("L1.z@-", "cannot read the address", "for example L9.z[H6]@-1"),
    ("L1.z@-:3", "cannot read the address", "for example L9.z[H6]@-1"),
    ("L-1.z", "cannot read the address", "for example L9.z[H6]@-1"),
    ("L3.logits", "logits is not a site of a layer", "write 'logits' alone"),
    ("L3.z[N1]", "z has no part [N1]", "index it as [H0]"),
    ("L3.mlp_act[H1]", "mlp_act has no part [H1]", "index it as [N0]"),
    ("L3.resid_post[H1]", "resid_post has no part [H1]", "address the whole site"),
    ("L3.resid_post/sae[H1]", "resid_post has no part [H1]", "index it as [F0]"),
    ("L3.mlp_*[H1]", "mlp_* has no part [H1]", "index it as [N0]"),
    ("L3.*[H1]", "* has no part [H1]", "name the site"),
    (("z", -1), "cannot read the address ('z', -1)", 'write ("z", layer)'),
    (("z", True), "cannot read the address ('z', True)", 'write ("z", layer)'),
    (("z",), "cannot read the address ('z',)", 'write ("z", layer)'),
    (("z", 1, "attn"), "cannot read the address ('z', 1, 'attn')", 'write ("z", layer)'),
    (("logits", 1), "logits is not a site of a layer", "write 'logits' alone"),
    (("L2.z", 1), "gives its layer twice", "write 'L2.z' alone"),
    (7, "an address is text, got int", 'write it as "L9.z[H6]"'),
]


@pytest.mark.parametrize(("text", "what", "mend"), ERRORS, ids=[str(row[0]) for row in ERRORS])
def test_error_texts(text: object, what: str, mend: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)  # type: ignore[arg-type]
    assert what in caught.value.what
    assert mend in caught.value.mend


EXPAND_ERRORS = [
    ("L4.z", "layer 4 is out of range: the model has 4 layers", "use L0 to L3"),
    ("L2:2.z", "this model has no site L2:2.z", "its sites are: embed"),
    ("L0.resid_mid", "this model has no site L0.resid_mid", "its sites are: embed"),
]


@pytest.mark.parametrize(("query", "what", "mend"), EXPAND_ERRORS)
def test_expand_error_texts(query: str, what: str, mend: str) -> None:
    parallel = [each for each in available() if each.name != "resid_mid"]
    with pytest.raises(AddressError) as caught:
        Address.parse(query).expand(parallel, N_LAYERS)
    assert what in caught.value.what
    assert mend in caught.value.mend


def test_a_query_has_no_one_site() -> None:
    with pytest.raises(AddressError, match="is a query, not one site"):
        _ = Address.parse("L1.resid_*").site
