"""Causal sweeps: write into one run what belongs to another, place by place, and measure."""

from residuum.patching.ablating import ablate
from residuum.patching.ablations import (
    DirectionAblation,
    MeanAblation,
    ResampleAblation,
    SwapAblation,
    ZeroAblation,
)
from residuum.patching.activation_patching import patch
from residuum.patching.gradients.attribution import AttributionPatching, NodeIG
from residuum.patching.knocking_out import knock_out
from residuum.patching.path_patching import path_patch
from residuum.patching.results.knockout import Knockout
from residuum.patching.results.path_table import PathTable
from residuum.patching.results.sweep import Effect, Sweep

__all__ = [
    "AttributionPatching",
    "DirectionAblation",
    "Effect",
    "Knockout",
    "MeanAblation",
    "NodeIG",
    "PathTable",
    "ResampleAblation",
    "SwapAblation",
    "Sweep",
    "ZeroAblation",
    "ablate",
    "knock_out",
    "patch",
    "path_patch",
]
