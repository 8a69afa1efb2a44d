"""Organisms: models whose mechanisms are known, and the recipes that make them."""

from residuum.organisms.attention_only import (
    ATTENTION_RECIPES,
    AttentionRecipe,
    PhaseChange,
    phase_change,
    series_steps,
    shipped_curves,
    train_attention_only,
    weights_at,
)
from residuum.organisms.building import train_organism
from residuum.organisms.compiled import CompiledProgram, EdgeCounts, compile_program
from residuum.organisms.compiled.interchange import (
    INTERCHANGE_RECIPES,
    InterchangeModel,
    InterchangeRecipe,
    InterchangeScores,
    interchange_trained,
    train_interchange,
)
from residuum.organisms.recipe import RECIPES, Recipe, recipe
from residuum.organisms.scores import Score, WorldScores, evaluate_microworld
from residuum.organisms.superposition import (
    TOY_RECIPES,
    Superposition,
    ToyRecipe,
    feature_dimensionality,
    geometry,
    shipped_superposition,
    toy_superposition,
    train_toys,
)
from residuum.organisms.trigger_scores import TriggerScores, evaluate_trigger

__all__ = [
    "ATTENTION_RECIPES",
    "INTERCHANGE_RECIPES",
    "RECIPES",
    "TOY_RECIPES",
    "AttentionRecipe",
    "CompiledProgram",
    "EdgeCounts",
    "InterchangeModel",
    "InterchangeRecipe",
    "InterchangeScores",
    "PhaseChange",
    "Recipe",
    "Score",
    "Superposition",
    "ToyRecipe",
    "TriggerScores",
    "WorldScores",
    "compile_program",
    "evaluate_microworld",
    "evaluate_trigger",
    "feature_dimensionality",
    "geometry",
    "interchange_trained",
    "phase_change",
    "recipe",
    "series_steps",
    "shipped_curves",
    "shipped_superposition",
    "toy_superposition",
    "train_attention_only",
    "train_interchange",
    "train_organism",
    "train_toys",
    "weights_at",
]
