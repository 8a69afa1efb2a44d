"""Heads: detectors over many prompts, QK and OV circuits, composition."""

from residuum.heads.bigrams import BigramRow, BigramTable, bigram_table
from residuum.heads.circuit import Circuit, SingularDirection, TokenPair
from residuum.heads.circuits import ov, qk
from residuum.heads.composition_table import ComposedPair, Composition
from residuum.heads.compositions import composition
from residuum.heads.detecting import detect_heads
from residuum.heads.factored import FactoredMatrix
from residuum.heads.head_rows import HeadRow
from residuum.heads.head_scores import HeadScore, RemovalCost
from residuum.heads.head_table import HeadTable
from residuum.heads.head_types import HeadType
from residuum.heads.logit_paths import path_expansion
from residuum.heads.neurons import Drive, NeuronReading, TokenWeight, neuron
from residuum.heads.path_record import LogitPath, PathExpansion
from residuum.heads.prompts import Prompts, random_repeats
from residuum.heads.skip_trigram_list import skip_trigrams
from residuum.heads.skip_trigram_table import SkipTrigram, SkipTrigrams
from residuum.heads.stream_wiring import VirtualWeights, virtual_weights

__all__ = [
    "BigramRow",
    "BigramTable",
    "Circuit",
    "ComposedPair",
    "Composition",
    "Drive",
    "FactoredMatrix",
    "HeadRow",
    "HeadScore",
    "HeadTable",
    "HeadType",
    "LogitPath",
    "NeuronReading",
    "PathExpansion",
    "Prompts",
    "RemovalCost",
    "SingularDirection",
    "SkipTrigram",
    "SkipTrigrams",
    "TokenPair",
    "TokenWeight",
    "VirtualWeights",
    "bigram_table",
    "composition",
    "detect_heads",
    "neuron",
    "ov",
    "path_expansion",
    "qk",
    "random_repeats",
    "skip_trigrams",
    "virtual_weights",
]
