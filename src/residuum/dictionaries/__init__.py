"""Dictionaries: sparse coders: train, read, trust and use sparse features."""

from residuum.dictionaries.absorption import feature_absorption
from residuum.dictionaries.absorption_result import Absorption, ClassAbsorption
from residuum.dictionaries.activations import (
    Activation,
    BatchTopK,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
)
from residuum.dictionaries.class_probing import sparse_probing
from residuum.dictionaries.class_probing_result import ProbeRow, SparseProbing
from residuum.dictionaries.coder import SparseCoder
from residuum.dictionaries.convert import convert_dictionary
from residuum.dictionaries.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.curve import Curve
from residuum.dictionaries.dictionary import Dictionary
from residuum.dictionaries.evaluation import evaluate_dictionary
from residuum.dictionaries.evaluation_result import DictionaryScores
from residuum.dictionaries.feature_agreement import Agreement
from residuum.dictionaries.feature_calibration import FeatureUnits, feature_units
from residuum.dictionaries.feature_edits import Feature, feature
from residuum.dictionaries.feature_effects_result import FeatureEffects
from residuum.dictionaries.feature_measuring import feature_effects
from residuum.dictionaries.feature_methods import Exact, Gradient
from residuum.dictionaries.feature_patching import FeaturePatching, patch_features
from residuum.dictionaries.fit_check import fit_dictionary
from residuum.dictionaries.fit_check_result import Fit
from residuum.dictionaries.ground_truth import match_truth
from residuum.dictionaries.ground_truth_result import GroundTruth
from residuum.dictionaries.harvest_result import Harvest, load_harvest
from residuum.dictionaries.harvesting import harvest
from residuum.dictionaries.labels import (
    Endpoint,
    Labels,
    LatentExamples,
    Price,
    TokenStatistics,
    TrialSizes,
    label_features,
    latent_examples,
    load_labels,
)
from residuum.dictionaries.live_stream import LiveSource, live_source
from residuum.dictionaries.load import format_of, load_dictionary
from residuum.dictionaries.losses import Losses
from residuum.dictionaries.optimisers import Adam
from residuum.dictionaries.penalties import L1, L0Step
from residuum.dictionaries.plan import CoderPlan
from residuum.dictionaries.reading import (
    Example,
    FeatureBasis,
    FeatureComparison,
    FeatureReading,
    LatentReading,
    Latents,
    Neurons,
    RandomDirections,
    Sizes,
    compare_features,
    load_reading,
    merge_readings,
    read_features,
)
from residuum.dictionaries.saved_dictionary import read_dictionary
from residuum.dictionaries.shard_source import ShardSource
from residuum.dictionaries.sources import ActivationSource, Batch, TensorSource
from residuum.dictionaries.sparse import Sparse
from residuum.dictionaries.stability import dictionary_stability
from residuum.dictionaries.stability_result import Stability
from residuum.dictionaries.synthetic import SparseStream, SparseWorld
from residuum.dictionaries.target_l0 import TargetL0
from residuum.dictionaries.token_masks import HighNorm
from residuum.dictionaries.training import train_dictionaries, train_dictionary
from residuum.dictionaries.training_options import Resampling
from residuum.dictionaries.training_progress import Standing, TrainingProgress
from residuum.dictionaries.training_result import Training

__all__ = [
    "L1",
    "Absorption",
    "Activation",
    "ActivationSource",
    "Adam",
    "Agreement",
    "Batch",
    "BatchTopK",
    "ClassAbsorption",
    "CoderPlan",
    "CrossLayerTranscoder",
    "Curve",
    "Dictionary",
    "DictionaryScores",
    "Endpoint",
    "Exact",
    "Example",
    "Feature",
    "FeatureBasis",
    "FeatureComparison",
    "FeatureEffects",
    "FeaturePatching",
    "FeatureReading",
    "FeatureUnits",
    "Fit",
    "Gated",
    "Gradient",
    "GroundTruth",
    "Harvest",
    "HighNorm",
    "JumpReLU",
    "L0Step",
    "Labels",
    "LatentExamples",
    "LatentReading",
    "Latents",
    "LiveSource",
    "Losses",
    "Neurons",
    "Price",
    "ProbeRow",
    "RandomDirections",
    "ReLU",
    "Resampling",
    "ShardSource",
    "Sizes",
    "Sparse",
    "SparseCoder",
    "SparseProbing",
    "SparseStream",
    "SparseWorld",
    "Stability",
    "Standing",
    "TargetL0",
    "TensorSource",
    "TokenStatistics",
    "TopK",
    "Training",
    "TrainingProgress",
    "TrialSizes",
    "compare_features",
    "convert_dictionary",
    "dictionary_stability",
    "evaluate_dictionary",
    "feature",
    "feature_absorption",
    "feature_effects",
    "feature_units",
    "fit_dictionary",
    "format_of",
    "harvest",
    "label_features",
    "latent_examples",
    "live_source",
    "load_dictionary",
    "load_harvest",
    "load_labels",
    "load_reading",
    "match_truth",
    "merge_readings",
    "patch_features",
    "read_dictionary",
    "read_features",
    "sparse_probing",
    "train_dictionaries",
    "train_dictionary",
]
