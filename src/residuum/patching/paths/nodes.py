"""Who sends and who receives on a path: the nodes of a path-patching table, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from residuum.core import Address, OptionError
from residuum.runs import Model, part_count, resolve, shown

SENDERS = ("embed", "head_out", "mlp_out")
"""Sites whose output can be sent; ``z`` means the same heads as ``head_out``."""

HEAD_RECEIVERS = ("q_in", "k_in", "v_in")
RECEIVERS = (*HEAD_RECEIVERS, "mlp_in", "logits")
"""Sites at which a path can end."""

_VIA = ("head_out", "mlp_out")
_HEADS = ("z", "head_out")


@dataclass(frozen=True)
class Receiver:
    """Where a path ends: one input, or several that are patched together.

    Attributes:
        members: their addresses.
    """

    members: tuple[Address, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.members))

    @property
    def is_logits(self) -> bool:
        """Whether the path ends at the unembedding."""
        return self.members[0].name == "logits"

    @property
    def is_spread(self) -> bool:
        """Whether it is a group read in several places: layers, or attention and MLP."""
        return not self.is_logits and self.layer is None

    @property
    def layer(self) -> int | None:
        """The layer whose attention, or MLP, receives; None if there are several such places."""
        kinds = {(each.layer, each.name == "mlp_in") for each in self.members}
        layer = self.members[0].layer
        return layer if len(kinds) == 1 and isinstance(layer, int) else None


@dataclass(frozen=True)
class PathGrid:
    """Senders × receivers, and what may pass a change on between them.

    Attributes:
        via: heads (as ``z``) and MLPs that are computed anew between sender and receiver.
        parallel: for each layer, whether its MLP reads the same stream as its attention.
        left_out: sites of the default table that were not proven on the model, with the reason.
    """

    senders: tuple[Address, ...]
    receivers: tuple[Receiver, ...]
    via: tuple[Address, ...]
    parallel: tuple[bool, ...]
    left_out: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of senders and of receivers."""
        return len(self.senders), len(self.receivers)

    def possible(self, sender: Address, receiver: Receiver) -> bool:
        """Whether the sender lies before (some member of) the receiver."""
        return any(self.feeds(sender, member) for member in receiver.members)

    def feeds(self, sender: Address, member: Address) -> bool:
        """Whether what the sender adds is in the stream that this input reads."""
        return _written(sender) < self._read(member)

    def cells(self) -> list[tuple[int, int]]:
        """Indices of the possible pairs, sender by sender."""
        return [
            (i, j)
            for i, sender in enumerate(self.senders)
            for j, receiver in enumerate(self.receivers)
            if self.possible(sender, receiver)
        ]

    def passed_on(self, component: Address) -> bool:
        """Whether a component lies between some sender and some receiver."""
        reads = "mlp_in" if component.name == "mlp_out" else "q_in"
        entry = Address(reads, component.layer)
        after = any(self.feeds(sender, entry) for sender in self.senders)
        return after and any(self.possible(component, receiver) for receiver in self.receivers)

    def _read(self, member: Address) -> int:
        if not isinstance(member.layer, int):
            return 2 * len(self.parallel)
        after_attention = member.name == "mlp_in" and not self.parallel[member.layer]
        return 2 * member.layer + int(after_attention)


def _written(sender: Address) -> int:
    """Place in the order of the forward pass at which a sender adds to the stream."""
    if not isinstance(sender.layer, int):
        return -1
    return 2 * sender.layer + int(sender.name == "mlp_out")


def make_path_grid(model: Model, senders: Any, receivers: Any, via: Any) -> PathGrid:
    """The table asked for; None means every sender, or every receiver, of the model.

    Raises:
        OptionError: a site that sends or receives nothing, a position, a node given twice, no
            possible pair, or a query of ``via`` that means nothing on a path of the table.
        AddressError, SiteRefused: sites that the model does not have.
    """
    refused = {address.name: why for address, why in model.adapted.refused.items()}
    sending = _expanded(model, _or_all(model, senders, SENDERS, "senders"), SENDERS, "sender")
    ends = _or_all(model, receivers, RECEIVERS, "receivers")
    default = (SENDERS if senders is None else ()) + (RECEIVERS if receivers is None else ())
    grid = PathGrid(
        _in_order(_unlike(sending, "sender"), senders is None),
        tuple(_receivers(model, ends, receivers is None)),
        (),
        tuple(layer.wiring == "parallel" for layer in model.adapted.parts.layers),
        tuple(f"{name} is left out: {refused[name]}" for name in default if name in refused),
    )
    if not grid.cells():
        raise OptionError("no sender lies before a receiver", mend="give senders of earlier layers")
    return replace(grid, via=_passing(model, grid, _listed(via, "via")))


def exchanged_at(address: Address) -> Address:
    """Where a component's output is exchanged or held: a head at its ``z``."""
    return Address("z", address.layer, address.part) if address.name in _HEADS else address


def _or_all(model: Model, given: Any, names: tuple[str, ...], what: str) -> list[Any]:
    """What was given, or all sites of these names that were proven on the model."""
    if given is not None:
        return _listed(given, what)
    have = {address.name for address in model.sites}
    return [name for name in names if name in have]


def _listed(given: Any, what: str) -> list[Any]:
    if isinstance(given, (str, Address)) or (isinstance(given, tuple) and _is_pair(given)):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, dict):
        raise OptionError(
            f"{what}={given!r} names no sites", mend="give an address, a glob, or a list of them"
        )
    found = list(given)
    if not found and what != "via":
        raise OptionError(f"{what} is empty", mend="leave it out for all of them")
    return found


def _expanded(model: Model, given: list[Any], names: tuple[str, ...], role: str) -> list[Address]:
    return [each for query in given for each in _meant(model, query, names, role)]


def _meant(model: Model, query: Any, names: tuple[str, ...], role: str) -> list[Address]:
    """The single nodes that an address or glob means; without a head, every head."""
    address = Address.parse(query)
    if address.pos is not None or address.dictionary is not None:
        raise OptionError(
            f"{query} is no {role}: all positions are exchanged together, and no latents",
            mend=f"leave the position and the dictionary out: {address.name}",
        )
    allowed = {*names, "z"} if "head_out" in names else {*names}
    found = []
    for site in resolve(model.adapted, query):
        if site.name not in allowed:
            raise OptionError(
                f"{site} is no {role}", mend=f"use {', '.join(sorted(allowed))}", where=str(query)
            )
        if site.site.part_letter is None or isinstance(site.part, int):
            found.append(site)
        else:
            heads = range(part_count(model.adapted, site))
            found += [Address(site.name, site.layer, head) for head in heads]
    return found


def _receivers(model: Model, given: list[Any], default: bool) -> list[Receiver]:
    found: list[Receiver] = []
    for each in given:
        if not isinstance(each, tuple) or _is_pair(each):
            found += [Receiver((a,)) for a in _expanded(model, [each], RECEIVERS, "receiver")]
            continue
        queries = _listed(each, "a group of receivers")
        members = _expanded(model, queries, RECEIVERS, "receiver")
        group = Receiver(tuple(_unlike(members, "member of a group")))
        if any(a.name == "logits" for a in group.members) and len(group.members) > 1:
            raise OptionError(
                f"the logits are no member of a group: {group}",
                mend="give them as a receiver of their own",
            )
        found.append(group)
    _unlike(map(str, found), "receiver")
    if default:
        order = {name: place for place, name in enumerate(RECEIVERS)}
        found.sort(key=lambda r: (_last(r.members[0]), order[r.members[0].name]))
    return found


def _is_pair(each: tuple[Any, ...]) -> bool:
    """``("q_in", 2)``: one address, as elsewhere."""
    return len(each) == 2 and type(each[1]) is int


def _last(address: Address) -> float:
    return address.layer if isinstance(address.layer, int) else float("inf")


def _in_order(senders: list[Address], sort: bool) -> tuple[Address, ...]:
    return tuple(sorted(senders, key=_written) if sort else senders)


def _unlike(found: Iterable[Any], what: str) -> list[Any]:
    """All of them, if none is given twice."""
    seen: dict[Any, Any] = {}
    for each in found:
        key = exchanged_at(each) if isinstance(each, Address) else each
        if key in seen:
            raise OptionError(f"the {what} {each} is given twice", mend="give it once")
        seen[key] = each
    return list(seen.values())


def _passing(model: Model, grid: PathGrid, via: list[Any]) -> tuple[Address, ...]:
    """The components of via that lie on a path of the table; each query must mean some."""
    found: list[Address] = []
    for query in via:
        if isinstance(query, tuple) and not _is_pair(query):
            raise OptionError(
                f"via holds {shown(query)}, and has no groups", mend="give each address by itself"
            )
        meant = [exchanged_at(a) for a in _meant(model, query, _VIA, "component of via")]
        passing = [each for each in meant if grid.passed_on(each)]
        if not passing:
            raise OptionError(
                f"{query} of via lies between no sender and receiver of this table",
                mend="name components after a sender and before a receiver",
            )
        found += passing
    return tuple(_unlike(found, "component of via"))
