"""A circuit's parts with their roles written on them, and the edges that count."""

from __future__ import annotations

from residuum.circuits.roles.part_role import PartEffect
from residuum.circuits.roles.role_text import Named
from residuum.core import Address
from residuum.figures import Box, LayeredGraph, Link

_SHORT = {
    "name mover": "mover",
    "moves through MLP": "mover (MLP)",
    "S-inhibition-like": "S-inhib.",
    "induction": "induction",
    "duplicate-token": "duplicate",
    "previous-token": "previous",
    "copying": "copies",
    "negative": "negative",
    "first-token": "first",
    "MLP to logits": "writes",
    "MLP relay": "relays",
    "MLP on tokens": "tokens",
    "unknown": "?",
}
_PORTS = {"q": -0.9, "k": 0.0, "v": 0.9}
_NOT_SHOWN = "what an unknown part does, or that a named one does nothing else."


def role_figure(roles: Named, title: str) -> LayeredGraph:
    """Layers from bottom to top; on each part its first role."""
    names = {each.at: each.role for each in roles.parts}
    counted = sorted((e for e in roles.effects if e.counts), key=lambda each: -abs(each.value))
    ends = {each.sender for each in counted} | {"logits"}
    order = [*(["embed"] if "embed" in ends else []), *names, "logits"]
    levels = sorted({_level(part) for part in order})
    boxes = [
        Box(
            _told(part, names), _label(part, names), levels.index(_level(part)), int("mlp_" in part)
        )
        for part in order
    ]
    number = {part: at for at, part in enumerate(order)}
    links = [link for each in counted for link in _links(each, number)]
    known = sum(role != "unknown" for role in names.values())
    return LayeredGraph(
        boxes,
        links,
        [f"L{int(each)}" if each >= 0 and each % 1 == 0 else "" for each in _finite(levels)],
        total=roles.n_edges,
        unit=roles.unit,
        title=title or f"{roles.task}: {known} of {len(names)} parts named",
        caption=f"Edges that count, of {roles.measured} measured on {roles.n_pairs} pairs: what is "
        f"lost when the edge alone carries its {roles.reference} value. Queries arrive at the left "
        "of a head, keys in the middle, values at the right. Parts without such an edge are left "
        "out; '?' is one without a name. Where there is no room for both, a box bears the part "
        "without its role: point at it.",
        does_not_show=_NOT_SHOWN,
    )


def _finite(levels: list[float]) -> list[float]:
    return [-1.0 if each == float("inf") else each for each in levels]


def _level(part: str) -> float:
    address = Address.parse(part)
    if not isinstance(address.layer, int):
        return -1.0 if part == "embed" else float("inf")
    return address.layer + 0.5 * address.name.startswith("mlp_")


def _told(part: str, names: dict[str, str]) -> str:
    return f"{part}: {names[part]}" if part in names else part


def _label(part: str, names: dict[str, str]) -> str:
    address = Address.parse(part)
    if part not in names:
        return part
    own = f"H{address.part}" if address.name == "head_out" else f"MLP{address.layer}"
    if address.name == "mlp_act" or address.dictionary:
        own = f"L{address.layer}{'F' if address.dictionary else 'N'}{address.part}"
    return f"{own} {_SHORT[names[part]]}"


def _links(effect: PartEffect, number: dict[str, int]) -> list[Link]:
    note = effect.slot if effect.slot in _PORTS else ""
    at = f"@{effect.position}" if effect.position else ""
    said = " ".join(each for each in (note, at) if each)
    port = _PORTS.get(effect.slot, 0.0)
    source = number.get(effect.sender)
    targets = [number[part] for part in effect.readers if part in number]
    if source is None:
        return []
    return [Link(source, target, effect.value, port, said) for target in targets]
