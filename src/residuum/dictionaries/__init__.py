"""Dictionaries: sparse coders: train, read, trust and use sparse features."""

from residuum.dictionaries.activations import (
    Activation,
    BatchTopK,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
)
from residuum.dictionaries.coder import SparseCoder
from residuum.dictionaries.dictionary import Dictionary
from residuum.dictionaries.dictionary_file import read_dictionary, save_dictionary
from residuum.dictionaries.losses import Losses
from residuum.dictionaries.penalties import L1, L0Step
from residuum.dictionaries.plan import CoderPlan
from residuum.dictionaries.sparse import Sparse

__all__ = [
    "L1",
    "Activation",
    "BatchTopK",
    "CoderPlan",
    "Dictionary",
    "Gated",
    "JumpReLU",
    "L0Step",
    "Losses",
    "ReLU",
    "Sparse",
    "SparseCoder",
    "TopK",
    "read_dictionary",
    "save_dictionary",
]
