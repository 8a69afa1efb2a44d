"""Causal sweeps: write into one run what belongs to another, place by place, and measure."""

from residuum.patching.ablate import ablate
from residuum.patching.ablations import (
    DirectionAblation,
    MeanAblation,
    ResampleAblation,
    ZeroAblation,
)
from residuum.patching.attribution import AttributionPatching, NodeIG
from residuum.patching.knock_out import knock_out
from residuum.patching.knockout import Knockout
from residuum.patching.patch import patch
from residuum.patching.path_patch import path_patch
from residuum.patching.path_table import PathTable
from residuum.patching.sweep import Effect, Sweep

__all__ = [
    "AttributionPatching",
    "DirectionAblation",
    "Effect",
    "Knockout",
    "MeanAblation",
    "NodeIG",
    "PathTable",
    "ResampleAblation",
    "Sweep",
    "ZeroAblation",
    "ablate",
    "knock_out",
    "patch",
    "path_patch",
]
