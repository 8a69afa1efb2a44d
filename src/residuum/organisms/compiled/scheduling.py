"""Where each part of a program is computed, and which directions of the stream it has.

Attention of a layer comes before its MLP, and everything is computed as early as what it reads
allows. One head an aggregate; for a selector's width one head and the MLP of the same layer; one
MLP (a share of its neurons) an elementwise map or weighted sum.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from residuum.core import Address
from residuum.organisms.compiled.expressions import (
    Aggregate,
    Expression,
    Input,
    SelectorWidth,
)
from residuum.organisms.compiled.naming import names_of
from residuum.organisms.compiled.values import ValueSet, value_sets

Direction = tuple[Hashable, ...]
"""A direction of the stream: the part it belongs to and its value, or what it marks."""

ONE: Direction = ("one",)
"""Set at every token of the prompt proper."""

BEGIN: Direction = ("begin",)
"""Set at the token that begins the prompt, and nowhere else."""


@dataclass(frozen=True)
class Place:
    """Where a part of a program is computed.

    Attributes:
        layer: of the head or MLP.
        head: of an aggregate or a selector's width; None in an MLP.
    """

    layer: int
    head: int | None


@dataclass(frozen=True, eq=False)
class Schedule:
    """A program laid out for a transformer.

    Attributes:
        program: the expression that becomes the output.
        vocabulary: token values.
        length: most tokens, without the one that begins the prompt.
        names: ``id`` of each part -> its name.
        values: ``id`` of each part -> the values it can have.
        places: ``id`` of each part but the inputs -> where it is computed.
        directions: of the stream, in order.
    """

    program: Expression
    vocabulary: tuple[Any, ...]
    length: int
    names: dict[int, str]
    values: dict[int, ValueSet]
    places: dict[int, Place]
    directions: tuple[Direction, ...]

    @property
    def n_layers(self) -> int:
        """Layers that the program needs, at least one."""
        return 1 + max((place.layer for place in self.places.values()), default=0)

    @property
    def n_heads(self) -> int:
        """Heads of every layer: as many as the busiest one needs, at least one."""
        return 1 + max((place.head or 0 for place in self.places.values()), default=0)

    def nodes(self, expression: Expression) -> tuple[Address, ...]:
        """Writers of an expression, the last of which writes its value."""
        place = self.places.get(id(expression))
        if place is None:
            return (Address("embed"),)
        mlp = Address("mlp_out", place.layer)
        if place.head is None:
            return (mlp,)
        head = Address("head_out", place.layer, place.head)
        return (head, mlp) if isinstance(expression, SelectorWidth) else (head,)

    def edges(self) -> frozenset[tuple[Address, Address]]:
        """Who reads whom by the program alone: (sender, receiver), marks of places left out."""
        found = {(self.nodes(self.program)[-1], Address("logits"))}
        for each in self.program.parts():
            place = self.places.get(id(each))
            if place is None:
                continue
            mlp = Address("mlp_in", place.layer)
            slots = [Address(name, place.layer, place.head) for name in ("k_in", "q_in", "v_in")]
            for number, read in enumerate(each.inputs):
                receiver = mlp if place.head is None else slots[number]
                found.add((self.nodes(read)[-1], receiver))
            if isinstance(each, SelectorWidth):
                found.add((self.nodes(each)[0], mlp))
        return frozenset(found)


def schedule(program: Expression, vocabulary: Sequence[Any], length: int) -> Schedule:
    """Lay a program out.

    Raises:
        OptionError: values that cannot be listed where they must be; see ``values``.
    """
    values = value_sets(program, vocabulary, length)
    places: dict[int, Place] = {}
    ready: dict[int, int] = {}
    busy: dict[int, int] = {}
    for each in program.parts():
        first = max((ready[id(one)] for one in each.inputs), default=-1) + 1
        if isinstance(each, Input):
            ready[id(each)] = -1
            continue
        attends = isinstance(each, (Aggregate, SelectorWidth))
        layer = (first + 1) // 2 if attends else first // 2
        head = busy.get(layer, 0) if attends else None
        if head is not None:
            busy[layer] = head + 1
        places[id(each)] = Place(layer, head)
        ready[id(each)] = 2 * layer + int(not isinstance(each, Aggregate))
    return Schedule(
        program=program,
        vocabulary=tuple(vocabulary),
        length=length,
        names=names_of(program),
        values=values,
        places=places,
        directions=_directions(program, values),
    )


def _directions(program: Expression, values: dict[int, ValueSet]) -> tuple[Direction, ...]:
    """The stream: the two marks, then every part of the program."""
    found: list[Direction] = [ONE, BEGIN]
    for each in program.parts():
        found += directions_of(each, values[id(each)])
        if isinstance(each, SelectorWidth):
            found.append(share_of(each))
    return tuple(found)


def directions_of(expression: Expression, values: ValueSet) -> list[Direction]:
    """One for a number, one for each value otherwise."""
    if expression.numerical:
        return [(id(expression),)]
    return [(id(expression), value) for value in values.values or ()]


def share_of(width: SelectorWidth) -> Direction:
    """Where a width's head writes 1 / (width + 1), which the MLP of its layer reads."""
    return (id(width), "share of the first token", None)
