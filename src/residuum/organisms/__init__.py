"""Organisms: models whose mechanisms are known, and the recipes that make them."""

from residuum.organisms.building import train_organism
from residuum.organisms.recipe import RECIPES, Recipe, recipe
from residuum.organisms.scores import Score, WorldScores, evaluate_microworld
from residuum.organisms.trigger_scores import TriggerScores, evaluate_trigger

__all__ = [
    "RECIPES",
    "Recipe",
    "Score",
    "TriggerScores",
    "WorldScores",
    "evaluate_microworld",
    "evaluate_trigger",
    "recipe",
    "train_organism",
]
