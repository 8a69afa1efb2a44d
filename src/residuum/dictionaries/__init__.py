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
from residuum.dictionaries.convert import convert_dictionary
from residuum.dictionaries.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.curve import Curve
from residuum.dictionaries.dictionary import Dictionary
from residuum.dictionaries.ground_truth import match_truth
from residuum.dictionaries.ground_truth_result import GroundTruth
from residuum.dictionaries.losses import Losses
from residuum.dictionaries.optimisers import Adam
from residuum.dictionaries.penalties import L1, L0Step
from residuum.dictionaries.plan import CoderPlan
from residuum.dictionaries.saved_dictionary import read_dictionary
from residuum.dictionaries.sources import ActivationSource, Batch, TensorSource
from residuum.dictionaries.sparse import Sparse
from residuum.dictionaries.synthetic import SparseStream, SparseWorld
from residuum.dictionaries.target_l0 import TargetL0
from residuum.dictionaries.training import train_dictionaries, train_dictionary
from residuum.dictionaries.training_options import Resampling
from residuum.dictionaries.training_progress import Standing, TrainingProgress
from residuum.dictionaries.training_result import Training

__all__ = [
    "L1",
    "Activation",
    "ActivationSource",
    "Adam",
    "Batch",
    "BatchTopK",
    "CoderPlan",
    "CrossLayerTranscoder",
    "Curve",
    "Dictionary",
    "Gated",
    "GroundTruth",
    "JumpReLU",
    "L0Step",
    "Losses",
    "ReLU",
    "Resampling",
    "Sparse",
    "SparseCoder",
    "SparseStream",
    "SparseWorld",
    "Standing",
    "TargetL0",
    "TensorSource",
    "TopK",
    "Training",
    "TrainingProgress",
    "convert_dictionary",
    "match_truth",
    "read_dictionary",
    "train_dictionaries",
    "train_dictionary",
]
