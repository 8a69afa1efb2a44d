"""Causal sweeps: write into one run what belongs to another, place by place, and measure."""

from residuum.patching.ablate import ablate
from residuum.patching.ablations import (
    DirectionAblation,
    MeanAblation,
    ResampleAblation,
    ZeroAblation,
)
from residuum.patching.knock_out import knock_out
from residuum.patching.knockout import Knockout
from residuum.patching.patch import patch
from residuum.patching.sweep import Effect, Sweep

__all__ = [
    "DirectionAblation",
    "Effect",
    "Knockout",
    "MeanAblation",
    "ResampleAblation",
    "Sweep",
    "ZeroAblation",
    "ablate",
    "knock_out",
    "patch",
]
