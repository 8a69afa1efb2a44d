"""The neurons (ReLU) that compute an elementwise map, a weighted sum, or a width from its share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from residuum.organisms.compiled.expressions import Elementwise, Expression, Linear
from residuum.organisms.compiled.scheduling import ONE, Direction, Schedule, share_of
from residuum.organisms.compiled.values import function_table

Weights = dict[Direction, float]


@dataclass
class Neurons:
    """What each neuron reads, and what it writes when it is at 1."""

    reads: list[Weights] = field(default_factory=list)
    writes: list[Weights] = field(default_factory=list)

    def add(self, reads: Weights, writes: Weights) -> None:
        """One more neuron, unless it would write nothing."""
        writes = {direction: weight for direction, weight in writes.items() if weight}
        if writes:
            self.reads.append(reads)
            self.writes.append(writes)

    def extend(self, others: Neurons) -> None:
        """All neurons of another layer's worth."""
        self.reads += others.reads
        self.writes += others.writes


def neurons_of(each: Expression, plan: Schedule) -> Neurons:
    """The neurons of one part of a program that an MLP computes."""
    if isinstance(each, Linear):
        return _sum_neurons(each)
    if not isinstance(each, Elementwise):  # a width: 1 / (w + 1) from the head, longest first
        widths = sorted(plan.values[id(each)].values or (), reverse=True)
        table = [(Fraction(1, width + 1), _code(each, width)) for width in widths]
        return _step_neurons(share_of(each), table)  # type: ignore[arg-type]
    name = plan.names[id(each)]
    answers = function_table(each, [plan.values[id(one)] for one in each.of], name)
    if each.of[0].numerical:
        table = [(some[0], _code(each, answer)) for some, answer in answers]
        return _step_neurons((id(each.of[0]),), table)
    return _match_neurons(each, [(some, _code(each, answer)) for some, answer in answers])


def _code(each: Expression, value: Any) -> Weights:
    """What stands in the stream for a value."""
    if each.numerical:
        return {(id(each),): float(value)}
    return {} if value is None else {(id(each), value): 1.0}


def _match_neurons(each: Elementwise, table: Iterable[tuple[tuple[Any, ...], Weights]]) -> Neurons:
    """One neuron a combination of values: at 1 when all are there, and otherwise at 0."""
    found = Neurons()
    for some, writes in table:
        reads: Weights = {}
        for one, value in zip(each.of, some, strict=True):
            reads[id(one), value] = reads.get((id(one), value), 0.0) + 1.0
        if len(some) > 1:
            reads[ONE] = 1.0 - len(some)
        found.add(reads, writes)
    return found


def _step_neurons(read: Direction, table: list[tuple[Fraction, Weights]]) -> Neurons:
    """A staircase: the first code always, and at each midpoint of numbers the way to the next.

    A step rises over half of the smallest gap, so that numbers may be off by a quarter of it. At
    the first token nothing is written: there ``ONE`` is not set, and the two neurons of a step are
    equal.
    """
    found = Neurons()
    found.add({ONE: 1.0}, table[0][1])
    gap = min((float(b - a) for (a, _), (b, _) in pairwise(table)), default=1.0)
    steepness = 2.0 / gap
    for (low, before), (high, after) in pairwise(table):
        change = {way: after.get(way, 0.0) - before.get(way, 0.0) for way in {**before, **after}}
        middle = steepness * float(low + high) / 2
        found.add({read: steepness, ONE: 0.5 - middle}, change)
        back = {direction: -weight for direction, weight in change.items()}
        found.add({read: steepness, ONE: -0.5 - middle}, back)
    return found


def _sum_neurons(each: Linear) -> Neurons:
    """Two neurons a number, one for either sign."""
    found = Neurons()
    total: dict[int, float] = {}
    for one, weight in zip(each.of, each.weights, strict=True):
        total[id(one)] = total.get(id(one), 0.0) + weight
    for key, weight in total.items():
        found.add({(key,): 1.0}, {(id(each),): weight})
        found.add({(key,): -1.0}, {(id(each),): -weight})
    return found
