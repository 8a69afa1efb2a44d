"""Compiled programs: transformers whose weights follow from a program: the circuit is known."""

from residuum.organisms.compiled.compiling import compile_program
from residuum.organisms.compiled.expressions import (
    Expression,
    Selector,
    aggregate,
    elementwise,
    indices,
    linear,
    numerical,
    select,
    selector_width,
    tokens,
)
from residuum.organisms.compiled.ground_truth import EdgeCounts
from residuum.organisms.compiled.interpreter import interpret
from residuum.organisms.compiled.library import PROGRAMS, NamedProgram
from residuum.organisms.compiled.naming import describe
from residuum.organisms.compiled.program import CompiledProgram

__all__ = [
    "PROGRAMS",
    "CompiledProgram",
    "EdgeCounts",
    "Expression",
    "NamedProgram",
    "Selector",
    "aggregate",
    "compile_program",
    "describe",
    "elementwise",
    "indices",
    "interpret",
    "linear",
    "numerical",
    "select",
    "selector_width",
    "tokens",
]
