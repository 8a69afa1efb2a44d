"""Toy models of superposition, many instances trained at once: x' = ReLU(WᵀWx + b)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import SILENT, LoadError, OptionError, Progress
from residuum.core.progress import track
from residuum.organisms.superposition.toy_result import Superposition
from residuum.runs import refuse_unknown

_STAGE = "training toy models"
_OPTIONS = "features, dims, densities, decay, values, instances, steps, learning_rate, batch, seed"


@dataclass(frozen=True)
class ToyRecipe:
    """What decides a set of toy models.

    Attributes:
        features: number of features n.
        dims: number of hidden dimensions m, fewer than the features.
        densities: probability that a feature is present, one for each column of instances;
            1 means always (dense), small means sparse.
        decay: importance of feature i is ``decay ** i``; 1 makes all alike.
        values: what a present feature is: ``"uniform"`` between 0 and 1, or always ``"one"``.
        instances: models for each density, which differ in first weights and data.
        steps: Adam steps.
        learning_rate: of Adam, constant.
        batch: examples in a step, for each instance.
        seed: decides first weights and data.
    """

    features: int = 5
    dims: int = 2
    densities: tuple[float, ...] = (0.05, 0.1, 0.3, 1.0)
    decay: float = 1.0
    values: str = "uniform"
    instances: int = 16
    steps: int = 6000
    learning_rate: float = 1e-3
    batch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "densities", tuple(map(float, self.densities)))
        for name in ("features", "dims", "instances", "steps", "batch"):
            if getattr(self, name) < 1:
                raise OptionError(
                    f"{name}={getattr(self, name)} is not positive",
                    mend="give a whole number of at least 1",
                    where="superposition",
                )
        if self.values not in ("uniform", "one"):
            raise OptionError(
                f"values={self.values!r}", mend="use 'uniform' or 'one'", where="superposition"
            )
        if not self.densities or not all(0 < density <= 1 for density in self.densities):
            raise OptionError(
                f"densities={self.densities}",
                mend="give probabilities above 0 and up to 1, such as 0.05",
                where="superposition",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "densities": list(self.densities)}


TOY_RECIPES: Mapping[str, ToyRecipe] = {
    "superposition": ToyRecipe(densities=(0.05, 0.1, 0.2, 0.3, 1.0)),
    "superposition_importance": ToyRecipe(densities=(0.05, 0.3, 1.0), decay=0.9),
    "superposition_pairs": ToyRecipe(features=3, densities=(0.05, 0.3)),
    "superposition_triangle": ToyRecipe(
        features=3, densities=(0.05, 0.1), values="one", batch=1024
    ),
}
"""Equal importance; importance 0.9 ** i; three features in the plane, whose values vary or not."""

_ASSETS = Path(__file__).resolve().parents[2] / "assets/organisms"


def shipped_superposition(name: str = "superposition") -> Superposition:
    """The trained toy models in the package.

    Args:
        name: one of `TOY_RECIPES`.

    Raises:
        OptionError: no such set.
        LoadError: its file is missing.

    >>> shipped_superposition().geometries(0.05).count("pentagon") > 8
    True
    """
    if name not in TOY_RECIPES:
        raise OptionError(
            f"no toy models {name!r} in the package", mend=f"one of: {', '.join(TOY_RECIPES)}"
        )
    path = _ASSETS / f"{name}.json"
    if not path.is_file():
        raise LoadError(
            f"the toy models {name!r} are missing from the package",
            where=str(path),
            mend=f"residuum organisms train {name}",
        )
    return Superposition.from_json(json.loads(path.read_text(encoding="utf-8")))


def toy_superposition(
    *,
    features: int = 5,
    dims: int = 2,
    densities: Sequence[float] = (0.05, 0.1, 0.3, 1.0),
    decay: float = 1.0,
    values: str = "uniform",
    instances: int = 16,
    steps: int = 6000,
    learning_rate: float = 1e-3,
    batch: int = 256,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Superposition:
    """Train toy models of superposition, all instances at once, and see how they pack features.

    Each model squeezes ``features`` numbers into ``dims`` dimensions and restores them,
    ``x' = ReLU(WᵀWx + b)``; the loss is Σ importance · (x − x')². A feature is present with
    probability ``density``.

    Args:
        features, dims: n and m.
        densities: probability of presence, one for each group of instances.
        decay: importance of feature i is ``decay ** i``.
        values: a present feature is ``"uniform"`` between 0 and 1, as in the source, or ``"one"``.
        instances: models for each density.
        steps, learning_rate, batch: of Adam.
        seed: decides first weights and data.
        progress: hears of every step.

    Returns:
        Weights, losses, feature dimensionalities and geometries of all instances.

    Raises:
        OptionError: an unknown option, or one out of range.

    Shows: which packings gradient descent reaches at a density and importance. Does not show: that
    a language model packs its features so.
    Source: Elhage et al., Toy Models of Superposition (2022), sections 2 to 4; there the learning
    rate is 1e-3 too, and the loss has the same form.

    >>> found = toy_superposition(densities=(0.05,), instances=2, steps=5)
    >>> tuple(found.weights.shape)
    (1, 2, 2, 5)
    """
    refuse_unknown(unknown, "toy_superposition", _OPTIONS)
    recipe = ToyRecipe(
        features=features,
        dims=dims,
        densities=tuple(densities),
        decay=decay,
        values=values,
        instances=instances,
        steps=steps,
        learning_rate=learning_rate,
        batch=batch,
        seed=seed,
    )
    return train_toys(recipe, progress)


def train_toys(recipe: ToyRecipe, progress: Progress = SILENT) -> Superposition:
    """Train the instances of a recipe."""
    generator = torch.Generator().manual_seed(recipe.seed)
    density = torch.tensor(recipe.densities)[:, None, None, None]
    importance = importances(recipe)
    weights, bias = _first(recipe, generator)
    optimizer = torch.optim.Adam([weights, bias], lr=recipe.learning_rate)
    for _ in track(range(recipe.steps), progress, _STAGE, recipe.steps):
        x = toy_batch(recipe, density, recipe.batch, generator)
        losses = toy_losses(weights, bias, x, importance)
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()
    with torch.no_grad():
        x = toy_batch(recipe, density, 20_000, torch.Generator().manual_seed(recipe.seed + 1))
        losses = toy_losses(weights, bias, x, importance)
    return Superposition(
        weights=weights.detach(),
        bias=bias.detach(),
        losses=losses.detach(),
        densities=recipe.densities,
        importance=importance,
        recipe=recipe.to_json(),
    )


def importances(recipe: ToyRecipe) -> Tensor:
    """How much each feature's error counts, ``[feature]``."""
    return recipe.decay ** torch.arange(recipe.features, dtype=torch.float32)


def toy_batch(recipe: ToyRecipe, density: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """Sparse features, ``[density instance row feature]``."""
    shape = (len(recipe.densities), recipe.instances, rows, recipe.features)
    present = torch.rand(shape, generator=generator) < density
    if recipe.values == "one":
        return present.float()
    return torch.rand(shape, generator=generator) * present


def toy_losses(weights: Tensor, bias: Tensor, x: Tensor, importance: Tensor) -> Tensor:
    """Mean over rows of Σ importance · (x − x')², ``[density instance]``.

    Args:
        weights: ``[density instance dim feature]``.
        bias: ``[density instance feature]``.
        x: ``[density instance row feature]``.
        importance: ``[feature]``.
    """
    hidden = x @ weights.transpose(-1, -2)
    restored = torch.relu(hidden @ weights + bias[..., None, :])
    return ((x - restored).square() * importance).sum(-1).mean(-1)


def _first(recipe: ToyRecipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Xavier-normal weights and zero biases."""
    shape = (len(recipe.densities), recipe.instances, recipe.dims, recipe.features)
    scale = (2 / (recipe.features + recipe.dims)) ** 0.5
    weights = scale * torch.randn(shape, generator=generator)
    bias = torch.zeros(shape[0], shape[1], recipe.features)
    return weights.requires_grad_(), bias.requires_grad_()
