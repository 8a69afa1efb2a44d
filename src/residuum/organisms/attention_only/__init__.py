"""Attention-only organisms: induction in two layers, its twins, and skip-trigrams in one."""

from residuum.organisms.attention_only.finishing import train_attention_only
from residuum.organisms.attention_only.looking import look_at_repeats, uniform_matching
from residuum.organisms.attention_only.phase import (
    PhaseChange,
    SeedChange,
    phase_change,
    shipped_curves,
)
from residuum.organisms.attention_only.recipe import ATTENTION_RECIPES, AttentionRecipe
from residuum.organisms.attention_only.sequences import draws, repeated_blocks
from residuum.organisms.attention_only.series import series_steps, weights_at
from residuum.organisms.attention_only.sigmoid import (
    SeedInterval,
    Sigmoid,
    fit_sigmoid,
    half_reached,
    seed_interval,
)
from residuum.organisms.attention_only.skip_trigrams import look_at_trigrams, trigram_sequences
from residuum.organisms.attention_only.teaching import Teacher

__all__ = [
    "ATTENTION_RECIPES",
    "AttentionRecipe",
    "PhaseChange",
    "SeedChange",
    "SeedInterval",
    "Sigmoid",
    "Teacher",
    "draws",
    "fit_sigmoid",
    "half_reached",
    "look_at_repeats",
    "look_at_trigrams",
    "phase_change",
    "repeated_blocks",
    "seed_interval",
    "series_steps",
    "shipped_curves",
    "train_attention_only",
    "trigram_sequences",
    "uniform_matching",
    "weights_at",
]
