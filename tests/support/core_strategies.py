"""Hypothesis strategies for the nouns of ``core``."""

from __future__ import annotations

from hypothesis import strategies as st

from residuum.core import SITES, Address, Span

numbers = st.integers(0, 2000)
ends = st.none() | st.integers(-50, 50)
layer_spans = st.builds(Span, st.none() | numbers, st.none() | numbers)
positions = st.none() | st.integers(-50, 50) | st.builds(Span, ends, ends)
dictionaries = st.none() | st.from_regex(r"[A-Za-z0-9_.\-]+", fullmatch=True)


@st.composite
def addresses(draw: st.DrawFn) -> Address:
    """Addresses of one site each."""
    site = draw(st.sampled_from(list(SITES.values())))
    dictionary = draw(dictionaries)
    has_part = dictionary is not None or site.part_letter is not None
    return Address(
        name=site.name,
        layer=draw(numbers) if site.layered else None,
        part=draw(st.none() | numbers) if has_part else None,
        pos=draw(positions),
        dictionary=dictionary,
    )


@st.composite
def queries(draw: st.DrawFn) -> Address:
    """Addresses, and queries over layers and parts."""
    one = draw(addresses())
    layer = draw(st.none() | st.just("*") | layer_spans | numbers)
    has_part = one.dictionary is not None or one.site.part_letter is not None
    return Address(
        name=one.name,
        layer=layer if one.site.layered else None,
        part=draw(st.none() | st.just("*") | numbers) if has_part else None,
        pos=one.pos,
        dictionary=one.dictionary,
    )
