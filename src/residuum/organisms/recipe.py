"""A training recipe: everything that decides what a trained organism becomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from residuum.core.errors import OptionError


@dataclass(frozen=True)
class Recipe:
    """How one organism is trained.

    Attributes:
        name: the organism.
        layers, heads, d_model, context: shape of the model.
        tokens_per_step: tokens in one batch, whatever the length of its windows.
        windows: window lengths in tokens; each step draws one.
        learning_rate: peak, reached after ``warmup`` steps, then a cosine down to 5 %.
        betas, weight_decay, clip: AdamW and the largest gradient norm.
        steps: number of steps.
        check_every: steps between two looks at the tasks (and two checkpoints).
        base: folder name of the embedded model that training starts from; "" for none.
        seed: decides the first weights and the text.
    """

    name: str
    layers: int = 4
    heads: int = 8
    d_model: int = 128
    context: int = 64
    tokens_per_step: int = 4096
    windows: tuple[int, ...] = (32, 64)
    learning_rate: float = 2e-3
    warmup: int = 150
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.1
    clip: float = 1.0
    steps: int = 3500
    check_every: int = 250
    base: str = ""
    seed: int = 0

    def with_steps(self, steps: int) -> Recipe:
        """The same recipe with another number of steps."""
        return replace(self, steps=steps, warmup=min(self.warmup, max(1, steps // 10)))

    def with_seed(self, seed: int) -> Recipe:
        """The same recipe with other first weights and other text."""
        return replace(self, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


RECIPES = {
    "microworld": Recipe(name="microworld"),
    "microworld-trigger": Recipe(
        name="microworld-trigger",
        learning_rate=5e-4,
        warmup=50,
        steps=600,
        check_every=200,
        base="microworld",
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of an organism.

    Args:
        name: ``microworld`` or ``microworld-trigger``.

    Returns:
        Its recipe with seed 0.

    Raises:
        OptionError: no such organism.
    """
    if name not in RECIPES:
        raise OptionError(f"no organism {name!r}", mend=f"one of: {', '.join(RECIPES)}")
    return RECIPES[name]
