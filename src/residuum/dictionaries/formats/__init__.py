"""Other tools' files of dictionaries: one file a format, all through the same plain record."""

from residuum.dictionaries.formats.circuit_tracer import CircuitTracer
from residuum.dictionaries.formats.dictionary_learning import DictionaryLearning
from residuum.dictionaries.formats.gemma_scope import GemmaScope1, GemmaScope2
from residuum.dictionaries.formats.parts import Format, Parts, Place
from residuum.dictionaries.formats.saelens import SAELens
from residuum.dictionaries.formats.sites import address_of
from residuum.dictionaries.formats.sparsify import Sparsify

__all__ = [
    "CircuitTracer",
    "DictionaryLearning",
    "Format",
    "GemmaScope1",
    "GemmaScope2",
    "Parts",
    "Place",
    "SAELens",
    "Sparsify",
    "address_of",
]
