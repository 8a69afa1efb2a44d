"""Runs with edits and capture, generation, tasks and metrics: the only owner of hooks."""

from residuum.runs.apply import Coder
from residuum.runs.capture import Capture, TopK
from residuum.runs.generation import Generation, Sampling
from residuum.runs.model import Model, load
from residuum.runs.record import BlockCall, record_calls
from residuum.runs.run import Run
from residuum.runs.selfcheck import Check, Report, self_check

__all__ = [
    "BlockCall",
    "Capture",
    "Check",
    "Coder",
    "Generation",
    "Model",
    "Report",
    "Run",
    "Sampling",
    "TopK",
    "load",
    "record_calls",
    "self_check",
]
