"""What a program says when some of its parts have their values on another prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, OptionError
from residuum.organisms.compiled.interchange.recipe import InterchangeRecipe
from residuum.organisms.compiled.interpreter import Interpreter
from residuum.organisms.compiled.scheduling import Schedule
from residuum.organisms.compiled.vocabulary import Vocabulary, vocabulary_of

UNASKED = -100
"""Answer where the program has no value; losses and scores leave it out."""


class Answers:
    """Prompts of a recipe and the answers to interventions on them.

    Attributes:
        recipe: whose prompts.
        plan: its program laid out.
        words: ids of tokens and outputs.
        prompts: all that count, in order.
        seen, unseen: indices of those that training sees, and of the others.
    """

    def __init__(self, recipe: InterchangeRecipe) -> None:
        self.recipe, self.plan = recipe, recipe.plan()
        self.words = words_of(self.plan)
        every = product(recipe.vocabulary, repeat=recipe.length)
        alone = recipe.length if recipe.distinct else 0
        self.prompts = [each for each in every if len(set(each)) >= alone]
        order = list(range(len(self.prompts)))
        random.Random(recipe.seed).shuffle(order)
        cut = round(recipe.held_out * len(order))
        self.unseen, self.seen = sorted(order[:cut]), sorted(order[cut:])
        self._tables: dict[tuple[Address | None, int, int], list[int]] = {}

    @cached_property
    def ids(self) -> Tensor:
        """Token ids of all prompts, ``[prompt pos]``, beginning included."""
        return torch.tensor([self.words.encode(each) for each in self.prompts])

    @cached_property
    def circuit(self) -> dict[Address, tuple[Any, ...]]:
        """Head or MLP -> the parts of the program that it computes."""
        found: dict[Address, list[Any]] = {}
        for part in self.plan.program.parts():
            for node in self.plan.nodes(part) if id(part) in self.plan.places else ():
                found.setdefault(node, []).append(part)
        return {node: tuple(parts) for node, parts in found.items()}

    def of(self, node: Address | None, bases: Sequence[int], sources: Sequence[int]) -> Tensor:
        """Ids of the output ``[row pos]`` of each base when a node comes from its source.

        Args:
            node: a node outside the circuit, or None, changes nothing.
        """
        pairs = zip(bases, sources, strict=True)
        return torch.tensor([self._answer(node, base, source) for base, source in pairs])

    @cached_property
    def _values(self) -> list[Interpreter]:
        causal = self.recipe.causal
        return [Interpreter(self.plan.program, each, causal) for each in self.prompts]

    def _answer(self, node: Address | None, base: int, source: int) -> list[int]:
        parts = self.circuit.get(node, ()) if node is not None else ()
        key = (node, base, source) if parts else (None, base, base)
        if key not in self._tables:
            fixed = {id(part): self._values[source][part] for part in parts}
            self._tables[key] = self._outputs(base, fixed)
        return self._tables[key]

    def _outputs(self, base: int, fixed: dict[int, list[Any]]) -> list[int]:
        program = self.plan.program
        try:
            prompt, causal = self.prompts[base], self.recipe.causal
            values = Interpreter(program, prompt, causal, fixed)[program]
        except OptionError:  # the intervention has no meaning: different values averaged
            return [UNASKED] * self.recipe.length
        return [UNASKED if value is None else self.words.id_of(value) for value in values]


def words_of(plan: Schedule) -> Vocabulary:
    """Ids of a categorical program.

    Raises:
        OptionError: a numerical one.
    """
    if plan.program.numerical:
        raise OptionError(
            "the output is a number; interchange training compares values that have names",
            mend="make it categorical: elementwise(lambda value: …, number)",
        )
    return vocabulary_of(plan.vocabulary, plan.values[id(plan.program)].values)
