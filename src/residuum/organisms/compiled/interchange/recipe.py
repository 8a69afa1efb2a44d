"""What decides the result of an interchange training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from residuum.core import OptionError, content_hash
from residuum.organisms.compiled.library import PROGRAMS
from residuum.organisms.compiled.scheduling import Schedule, schedule


@dataclass(frozen=True)
class InterchangeRecipe:
    """A program, the shape of the model that is to implement it, and the training.

    Attributes:
        name: of the recipe.
        program: a name of :data:`PROGRAMS`; layers are as many as its compiled model has.
        options: of the program.
        vocabulary, length: prompts are all of this length.
        causal: whether positions see only themselves and earlier ones.
        distinct: whether only prompts without a repeated token count.
        heads: of each layer; those that the program does not use must not matter.
        d_model, d_head, d_mlp: widths.
        steps, batch, rate: of Adam; the rate falls linearly to zero.
        strict: weight of a logit's mean squared move with a part outside the circuit exchanged.
        held_out: share of prompts that training never sees.
        seed: of weights, split and batches.
    """

    name: str
    program: str
    vocabulary: tuple[Any, ...]
    length: int
    options: dict[str, Any] = field(default_factory=dict)
    causal: bool = False
    distinct: bool = False
    heads: int = 2
    d_model: int = 32
    d_head: int = 16
    d_mlp: int = 64
    steps: int = 2000
    batch: int = 128
    rate: float = 2e-3
    strict: float = 1.0
    held_out: float = 0.2
    seed: int = 0

    def plan(self) -> Schedule:
        """The program laid out: which part is computed where."""
        built = PROGRAMS[self.program].build(**self.options)
        return schedule(built, self.vocabulary, self.length)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return json.loads(json.dumps(asdict(self)))

    @property
    def hash(self) -> str:
        """SHA-256 over all fields."""
        return content_hash(self.to_json())


INTERCHANGE_RECIPES: dict[str, InterchangeRecipe] = {
    each.name: each
    for each in (
        InterchangeRecipe("interchange_sort", "sort_unique", (1, 2, 3, 4, 5), 4, distinct=True),
        InterchangeRecipe("interchange_pattern", "detect_pattern", ("a", "b", "c"), 5, causal=True),
    )
}
"""Name -> recipe of the models inside the package."""


def interchange_recipe(name: str) -> InterchangeRecipe:
    """The recipe of this name.

    Raises:
        OptionError: there is none.
    """
    if name not in INTERCHANGE_RECIPES:
        raise OptionError(
            f"no interchange-trained model {name!r:.60}",
            mend=f"one of {', '.join(INTERCHANGE_RECIPES)}; "
            "train_interchange(InterchangeRecipe(...)) makes another",
        )
    return INTERCHANGE_RECIPES[name]
