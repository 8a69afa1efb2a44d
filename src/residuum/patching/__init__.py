"""Causal sweeps: write one run's values into another, place by place, and measure the answer."""

from residuum.patching.patch import patch
from residuum.patching.sweep import Effect, Sweep

__all__ = ["Effect", "Sweep", "patch"]
