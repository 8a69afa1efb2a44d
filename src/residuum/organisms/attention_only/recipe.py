"""Recipes of the attention-only organisms: all that decides what one of them becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from residuum.core import OptionError

Data = Literal["repeats", "skip_trigrams"]


@dataclass(frozen=True)
class AttentionRecipe:
    """How one attention-only organism is trained.

    The learning rate is constant: a schedule would put a time of its own into the curves.

    Attributes:
        name: the organism.
        data: ``"repeats"`` (a random block, repeated) or ``"skip_trigrams"``.
        layers, heads, d_model, context, d_vocab: shape of the model; no MLP.
        positions: ``"learned"``, or None for a model without position embedding.
        normalization: ``"layernorm"`` or None.
        initializer_range: standard deviation of the first weights.
        learning_rate, weight_decay: of AdamW, with torch's own betas.
        batch: sequences in a step.
        steps: number of steps.
        check_every: steps between two checkpoints; each is measured.
        seed: decides the first weights and the data. Organisms with the same seed and data see the
            same batches, so that their curves are paired.
    """

    name: str
    data: Data = "repeats"
    layers: int = 2
    heads: int = 4
    d_model: int = 64
    context: int = 48
    d_vocab: int = 48
    positions: str | None = "learned"
    normalization: str | None = "layernorm"
    initializer_range: float = 0.02
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 64
    steps: int = 3000
    check_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "batch", "steps", "check_every"):
            if getattr(self, name) < 1:
                raise OptionError(
                    f"{name}={getattr(self, name)} is not positive",
                    mend="give a whole number of at least 1",
                    where=self.name,
                )

    def with_seed(self, seed: int) -> AttentionRecipe:
        """The same recipe with other first weights and other data."""
        return replace(self, seed=seed)

    def with_steps(self, steps: int) -> AttentionRecipe:
        """The same recipe with another number of steps."""
        return replace(self, steps=steps)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


ATTENTION_RECIPES: Mapping[str, AttentionRecipe] = {
    "induction_2l": AttentionRecipe("induction_2l"),
    "induction_2l_nopos": AttentionRecipe("induction_2l_nopos", positions=None),
    "induction_1l": AttentionRecipe("induction_1l", layers=1),
    "skip_trigram_1l": AttentionRecipe(
        "skip_trigram_1l",
        data="skip_trigrams",
        layers=1,
        normalization=None,
        initializer_range=0.125,
        context=32,
        d_vocab=64,
        steps=2000,
        check_every=100,
    ),
}
