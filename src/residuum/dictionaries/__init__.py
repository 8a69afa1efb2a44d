"""Dictionaries: sparse coders: train, read, trust and use sparse features."""

from residuum.dictionaries.coding.coder import SparseCoder
from residuum.dictionaries.coding.losses import Losses
from residuum.dictionaries.coding.penalties import L1, L0Step
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.fit.checking import fit_dictionary
from residuum.dictionaries.fit.result import Fit
from residuum.dictionaries.formats.convert import convert_dictionary
from residuum.dictionaries.formats.load import format_of, load_dictionary
from residuum.dictionaries.harvests.harvest_result import Harvest, load_harvest
from residuum.dictionaries.harvests.harvesting import harvest
from residuum.dictionaries.harvests.live_stream import LiveSource, live_source
from residuum.dictionaries.harvests.shard_source import ShardSource
from residuum.dictionaries.harvests.sources import ActivationSource, Batch, TensorSource
from residuum.dictionaries.harvests.token_masks import HighNorm
from residuum.dictionaries.judging.absorption import feature_absorption
from residuum.dictionaries.judging.absorption_result import Absorption, ClassAbsorption
from residuum.dictionaries.judging.class_probing import sparse_probing
from residuum.dictionaries.judging.class_probing_result import ProbeRow, SparseProbing
from residuum.dictionaries.judging.evaluation import evaluate_dictionary
from residuum.dictionaries.judging.evaluation_result import DictionaryScores
from residuum.dictionaries.judging.ground_truth import match_truth
from residuum.dictionaries.judging.ground_truth_result import GroundTruth
from residuum.dictionaries.judging.stability import dictionary_stability
from residuum.dictionaries.judging.stability_result import Stability
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
from residuum.dictionaries.record.activations import (
    Activation,
    BatchTopK,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
)
from residuum.dictionaries.record.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.record.saved_dictionary import read_dictionary
from residuum.dictionaries.record.sparse import Sparse
from residuum.dictionaries.training.curve import Curve
from residuum.dictionaries.training.optimisers import Adam
from residuum.dictionaries.training.options import Resampling
from residuum.dictionaries.training.progress import Standing, TrainingProgress
from residuum.dictionaries.training.result import Training
from residuum.dictionaries.training.synthetic import SparseStream, SparseWorld
from residuum.dictionaries.training.target_l0 import TargetL0
from residuum.dictionaries.training.verbs import train_dictionaries, train_dictionary
from residuum.dictionaries.use.agreement import Agreement
from residuum.dictionaries.use.calibration import FeatureUnits, feature_units
from residuum.dictionaries.use.edits import Feature, feature
from residuum.dictionaries.use.effects_result import FeatureEffects
from residuum.dictionaries.use.measuring import feature_effects
from residuum.dictionaries.use.methods import Exact, Gradient
from residuum.dictionaries.use.patching import FeaturePatching, patch_features

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
