"""Whether an address lies inside a tensor that was kept: its part and its position."""

from __future__ import annotations

from torch import Tensor

from residuum.core import Address, AddressError, Span

_KINDS = {"H": "head", "N": "neuron", "E": "expert", "F": "latent"}


def check_part(address: Address, count: int) -> None:
    """Refuse a head, neuron, expert or latent that is not there.

    Args:
        count: how many of them the tensor has.

    Raises:
        AddressError: out of range.
    """
    part = address.part
    if not isinstance(part, int) or part < count:
        return
    kind = _KINDS["F" if address.dictionary is not None else address.site.part_letter or "H"]
    whole = str(address.base) if address.dictionary is None else f"{address.dictionary}"
    raise AddressError(
        f"{kind} {part} is out of range: {whole} has {count}",
        mend=f"use 0 to {count - 1}",
        where=str(address),
    )


def check_position(address: Address, lengths: Tensor) -> None:
    """Refuse a position that some prompt does not have.

    Args:
        lengths: ``[batch]`` tokens of each prompt.

    Raises:
        AddressError: out of range; a span that covers no token.
    """
    pos, shortest = address.pos, int(lengths.min())
    if isinstance(pos, Span):
        if any(_covers(pos, int(length)) for length in lengths):
            return
        what = f"positions {pos} cover no token: the longest prompt has {int(lengths.max())} tokens"
        mend = "a span excludes its end: @2:4 means the positions 2 and 3"
    elif pos is None or -shortest <= pos < shortest:
        return
    else:
        what = f"position {pos} is out of range: the shortest prompt has {shortest} tokens"
        mend = f"use {-shortest} to {shortest - 1}"
    raise AddressError(what, mend=mend, where=str(address))


def _covers(span: Span, length: int) -> bool:
    return len(range(length)[slice(span.start, span.stop)]) > 0
