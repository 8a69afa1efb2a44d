"""Toy models of superposition: more features than dimensions, packed as polygons."""

from residuum.organisms.superposition.arrows import Arrows
from residuum.organisms.superposition.geometry import (
    feature_dimensionality,
    gaps,
    geometry,
    represented,
)
from residuum.organisms.superposition.toy_model import (
    TOY_RECIPES,
    ToyRecipe,
    shipped_superposition,
    toy_superposition,
    train_toys,
)
from residuum.organisms.superposition.toy_result import Superposition

__all__ = [
    "TOY_RECIPES",
    "Arrows",
    "Superposition",
    "ToyRecipe",
    "feature_dimensionality",
    "gaps",
    "geometry",
    "represented",
    "shipped_superposition",
    "toy_superposition",
    "train_toys",
]
