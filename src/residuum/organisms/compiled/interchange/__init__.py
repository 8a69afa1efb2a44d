"""Models trained to implement a program with a known circuit, by interchange interventions."""

from residuum.organisms.compiled.interchange.recipe import (
    INTERCHANGE_RECIPES,
    InterchangeRecipe,
)
from residuum.organisms.compiled.interchange.scoring import InterchangeScores
from residuum.organisms.compiled.interchange.trained import (
    InterchangeModel,
    interchange_trained,
    train_interchange,
)

__all__ = [
    "INTERCHANGE_RECIPES",
    "InterchangeModel",
    "InterchangeRecipe",
    "InterchangeScores",
    "interchange_trained",
    "train_interchange",
]
