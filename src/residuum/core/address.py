"""Site addresses and globs: ``L9.z[H6]@-1``, ``L5.resid_post/NAME[F31]``, ``L*.z[H*]``.

An address is ``L{layer}.{name}`` with an optional dictionary, part and position. A *query* is an
address with stars, layer ranges (``L3:6``, the end excluded) or a bare site name, which means
that site at every layer. TransformerLens's names are accepted wherever an address is, with a
part and a position too: ``blocks.9.attn.hook_z[H6]@-1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

from residuum.core.errors import AddressError
from residuum.core.sites import ALIASES, SITES, Site, translate_alias

_PATTERN = re.compile(
    r"(?:L(?P<layer>[0-9]{1,9}|\*|[0-9]{0,9}:[0-9]{0,9})\.)?"
    r"(?P<name>[a-z0-9_*?]+)"
    r"(?:/(?P<dictionary>[A-Za-z0-9_.\-]+))?"
    r"(?:\[(?P<letter>[HNEF])(?P<index>[0-9]{1,9}|\*)\])?"
    r"(?:@(?P<pos>-?[0-9]{1,9}|(?:-?[0-9]{1,9})?:(?:-?[0-9]{1,9})?))?"
)
_PLAIN_NAME = re.compile(r"[a-z0-9_*?]*")


@dataclass(frozen=True, order=True)
class Span:
    """A half-open range of layers or positions; None means open."""

    start: int | None
    stop: int | None

    def __str__(self) -> str:
        left = "" if self.start is None else self.start
        right = "" if self.stop is None else self.stop
        return f"{left}:{right}"

    def indices(self, length: int) -> range:
        """The indices of a sequence of this length that the span covers."""
        return range(length)[slice(self.start, self.stop)]


@dataclass(frozen=True, repr=False)
class Address:
    """A site, or with stars and spans a query over sites.

    Attributes:
        name: site name; may hold ``*`` and ``?`` in a query. A whole address as text is read:
            ``Address("L9.z[H6]")`` is ``Address("z", 9, 6)``.
        layer: block number, None for sites of the whole model, ``"*"`` or a span in a query.
        part: head, neuron, expert or latent number; ``"*"`` (all) in a query; None for the whole.
        pos: token position, counted from the prompt's first (or, if negative, last) real token;
            a span of positions; None for all.
        dictionary: name of a loaded dictionary, whose latents ``part`` counts.

    >>> Address("z", layer=9, part=6, pos=-1)
    Address('L9.z[H6]@-1')
    >>> str(Address.parse("blocks.9.attn.hook_z"))
    'L9.z'
    """

    name: str
    layer: int | str | Span | None = None
    part: int | str | None = None
    pos: int | Span | None = None
    dictionary: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or _PLAIN_NAME.fullmatch(self.name):
            return
        others = (self.layer, self.part, self.pos, self.dictionary)
        if any(each is not None for each in others):
            raise AddressError(
                f"the address {self.name!r} gives its layer or part twice",
                mend=f"write Address({self.name!r}) alone",
            )
        read = Address.parse(self.name)
        for each in fields(self):
            object.__setattr__(self, each.name, getattr(read, each.name))

    @staticmethod
    def parse(text: str | tuple[str, int] | Address) -> Address:
        """Read an address, a query, or a TransformerLens name.

        Args:
            text: ``"L9.z[H6]"``, ``"blocks.9.attn.hook_z"``, ``("z", 9)``, ``"pattern"``.

        Raises:
            AddressError: the text is no address, or names no known site.
        """
        if isinstance(text, Address):
            return text
        if isinstance(text, tuple):
            return _from_pair(text)
        if not isinstance(text, str):
            raise AddressError(
                f"an address is text, got {type(text).__name__}", mend='write it as "L9.z[H6]"'
            )
        match = _PATTERN.fullmatch(translate_alias(text) or text)
        if match is None and ("hook_" in text or text.startswith("blocks.")):
            raise AddressError(
                f"cannot read the address {text!r}: no site has this TransformerLens name",
                mend="write L{layer}.{name}, or blocks.{layer}.NAME with NAME one of: "
                + ", ".join(ALIASES),
            )
        if match is None:
            raise AddressError(
                f"cannot read the address {text!r}",
                mend="write L{layer}.{name}[H{head}]@{position}, for example L9.z[H6]@-1",
            )
        address = _from_match(match)
        _check_name(address, text)
        return address

    @property
    def is_query(self) -> bool:
        """Whether it may stand for several sites."""
        site = SITES.get(self.name)
        open_layer = site is not None and site.layered and self.layer is None
        return open_layer or site is None or isinstance(self.layer, (str, Span)) or self.part == "*"

    @property
    def site(self) -> Site:
        """The site's row in the vocabulary.

        Raises:
            AddressError: the name is a pattern.
        """
        if self.name not in SITES:
            raise AddressError(
                f"{self} is a query, not one site", mend="expand it with Address.expand first"
            )
        return SITES[self.name]

    @property
    def base(self) -> Address:
        """The same site without part, position and dictionary."""
        return Address(self.name, self.layer)

    def expand(self, available: Iterable[Address], n_layers: int) -> tuple[Address, ...]:
        """The sites among ``available`` (whole sites) that this query means, in forward order.

        Part and position are carried over; ``[H*]`` means the whole site.

        Raises:
            AddressError: no site matches; the message lists near ones.
        """
        candidates = list(available)
        part = None if self.part == "*" else self.part
        found = tuple(
            replace(each, part=part, pos=self.pos, dictionary=self.dictionary)
            for each in candidates
            if self.covers(each, n_layers)
        )
        if not found:
            raise _no_such_site(self, candidates, n_layers)
        return found

    def covers(self, other: Address, n_layers: int) -> bool:
        """Whether this address or query means (a part of) the whole site ``other``."""
        if not fnmatchcase(other.name, self.name):
            return False
        if self.part is not None and not self.dictionary and other.site.part_letter is None:
            return False
        if self.layer is None or self.layer == "*":
            return self.layer is None or other.layer is not None
        if isinstance(self.layer, Span):
            return isinstance(other.layer, int) and other.layer in self.layer.indices(n_layers)
        return other.layer == self.layer

    def __str__(self) -> str:
        layer = "" if self.layer is None else f"L{self.layer}."
        dictionary = "" if self.dictionary is None else f"/{self.dictionary}"
        pos = "" if self.pos is None else f"@{self.pos}"
        return f"{layer}{self.name}{dictionary}{self._part_text()}{pos}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def _part_text(self) -> str:
        if self.part is None:
            return ""
        letter = min(_letters(self.name, self.dictionary), default="H")
        return f"[{letter}{self.part}]"


def _from_pair(pair: tuple[str, int]) -> Address:
    name, layer = pair if len(pair) == 2 else (None, None)
    if not isinstance(name, str) or type(layer) is not int or layer < 0:
        raise AddressError(
            f"cannot read the address {pair!r}", mend='write ("z", layer) with a layer from 0'
        )
    address = Address.parse(name)
    if address.layer is not None:
        raise AddressError(
            f"the address {pair!r} gives its layer twice", mend=f"write {name!r} alone"
        )
    address = replace(address, layer=layer)
    _check_layered(address)
    return address


def _number(text: str | None) -> int | str | Span | None:
    if text is None or text == "*":
        return text
    if ":" in text:
        start, stop = (int(end) if end else None for end in text.split(":"))
        return Span(start, stop)
    return int(text)


def _from_match(match: re.Match[str]) -> Address:
    pos = _number(match["pos"])
    part = _number(match["index"])
    return Address(
        name=match["name"],
        layer=_number(match["layer"]),
        part=part if not isinstance(part, Span) else None,
        pos=pos if not isinstance(pos, str) else None,
        dictionary=match["dictionary"],
    )


def _check_name(address: Address, text: str) -> None:
    if "*" in address.name or "?" in address.name:
        if not any(fnmatchcase(name, address.name) for name in SITES):
            raise AddressError(
                f"no site matches {text!r}", mend=f"sites are: {', '.join(SITES)}", where=text
            )
        _check_part(address, text)
        return
    site = SITES.get(address.name)
    if site is None:
        raise AddressError(
            f"there is no site named {address.name!r}",
            mend=f"sites are: {', '.join(SITES)}",
            where=text,
        )
    _check_layered(address)
    _check_part(address, text)


def _check_layered(address: Address) -> None:
    site = SITES.get(address.name)
    if site is not None and not site.layered and address.layer is not None:
        raise AddressError(
            f"{address.name} is not a site of a layer", mend=f"write {address.name!r} alone"
        )


def _letters(name: str, dictionary: str | None) -> set[str]:
    """Letters of the parts that sites of this name, or of this pattern, have."""
    if dictionary:
        return {"F"}
    sites = (site for each, site in SITES.items() if fnmatchcase(each, name))
    return {site.part_letter for site in sites if site.part_letter}


def _check_part(address: Address, text: str) -> None:
    if address.part is None:
        return
    given = re.search(r"\[([HNEF])", text)
    letters = _letters(address.name, address.dictionary)
    if given is None or letters != {given[1]}:
        wanted = {0: "address the whole site", 1: f"index it as [{min(letters, default='')}0]"}.get(
            len(letters), "name the site, so that it is clear what the number counts"
        )
        raise AddressError(
            f"{address.name} has no part {text[text.index('[') :]}", mend=wanted, where=text
        )


def _no_such_site(query: Address, available: list[Address], n_layers: int) -> AddressError:
    names = sorted({each.name for each in available}, key=list(SITES).index)
    if isinstance(query.layer, int) and query.layer >= n_layers:
        return AddressError(
            f"layer {query.layer} is out of range: the model has {n_layers} layers",
            mend=f"use L0 to L{n_layers - 1}",
            where=str(query),
        )
    return AddressError(
        f"this model has no site {query}",
        mend=f"its sites are: {', '.join(names)}",
        where=str(query),
    )
