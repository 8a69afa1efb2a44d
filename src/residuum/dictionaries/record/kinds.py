"""Which kind of dictionary reads and writes these sites."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from residuum.core import Address, AddressError, OptionError

Kind = Literal["sae", "transcoder", "skip_transcoder", "crosscoder", "cross_layer_transcoder"]


def read_sites(sites: Any, what: str) -> tuple[Address, ...]:
    """One or several whole sites as addresses.

    Raises:
        AddressError: no site, or a query, a part, a position or a dictionary in an address.
    """
    one = isinstance(sites, (str, Address))
    given: Iterable[Any] = [sites] if one else sites
    found = tuple(Address.parse(each) for each in given)
    for each in found:
        if each.is_query or each != each.base:
            raise AddressError(
                f"{what} names {each}, which is not one whole site",
                mend="give sites such as L1.resid_post, without part or position",
            )
    if not found:
        raise AddressError(f"{what} names no site", mend="give at least one, such as L1.resid_post")
    return found


def kind_of(reads: tuple[Address, ...], writes: tuple[Address, ...], skip: bool) -> Kind:
    """The kind, from the sites alone.

    The same one: ``sae``; the same several: ``crosscoder``; one into another, or into several:
    ``transcoder``; several into as many others: ``cross_layer_transcoder``.

    Raises:
        OptionError: a skip connection where none is meant, or sites that fit no kind.
    """
    if reads == writes:
        kind = "sae" if len(reads) == 1 else "crosscoder"
    elif len(reads) == 1:
        kind = "skip_transcoder" if skip and len(writes) == 1 else "transcoder"
    elif len(reads) == len(writes):
        kind = "cross_layer_transcoder"
    else:
        raise OptionError(
            f"{len(reads)} sites are read and {len(writes)} written",
            mend="write the same sites, or as many others, in the order of the layers",
        )
    if skip and kind != "skip_transcoder":
        raise OptionError(f"a {kind} has no skip connection", mend="leave skip out")
    return kind
